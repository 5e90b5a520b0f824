//! Calico's selector expressions: `app == 'db' && has(tier)`.
//!
//! Source: "Selectors" in Calico's reference of NetworkPolicy.

/// Whether an expression selects labels. `None` where it cannot be read.
pub(crate) fn selects<'l>(
    expression: &str,
    value_of: &dyn Fn(&str) -> Option<&'l str>,
) -> Option<bool> {
    let tokens = tokens(expression)?;
    if tokens.is_empty() {
        return Some(true);
    }
    let mut parser = Parser {
        tokens: &tokens,
        value_of,
        depth: 0,
    };
    let selected = parser.or()?;
    parser.tokens.is_empty().then_some(selected)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

/// Longer signs before those that they begin with.
const SIGNS: [&str; 10] = ["==", "!=", "&&", "||", "!", "(", ")", "{", "}", ","];

fn tokens(expression: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '\'' | '"') {
            let end = rest[1..].find(first)? + 1;
            tokens.push(Token::Text(rest[1..end].to_owned()));
            rest = &rest[end + 1..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

struct Parser<'t, 'v, 'l> {
    tokens: &'t [Token],
    value_of: &'v dyn Fn(&str) -> Option<&'l str>,
    depth: usize,
}

/// Deeper nesting than anybody writes is not followed.
const MAX_DEPTH: usize = 64;

impl Parser<'_, '_, '_> {
    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.first(), Some(Token::Sign(s)) if *s == sign);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.tokens.first() else {
            return None;
        };
        self.tokens = &self.tokens[1..];
        Some(word.clone())
    }

    fn text(&mut self) -> Option<String> {
        let Some(Token::Text(text)) = self.tokens.first() else {
            return None;
        };
        self.tokens = &self.tokens[1..];
        Some(text.clone())
    }

    fn or(&mut self) -> Option<bool> {
        let mut selected = self.and()?;
        while self.take("||") {
            selected |= self.and()?;
        }
        Some(selected)
    }

    fn and(&mut self) -> Option<bool> {
        let mut selected = self.term()?;
        while self.take("&&") {
            selected &= self.term()?;
        }
        Some(selected)
    }

    fn term(&mut self) -> Option<bool> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let selected = self.bounded_term();
        self.depth -= 1;
        selected
    }

    fn bounded_term(&mut self) -> Option<bool> {
        if self.take("!") {
            return Some(!self.term()?);
        }
        if self.take("(") {
            let selected = self.or()?;
            return self.take(")").then_some(selected);
        }
        let word = self.word()?;
        if matches!(word.as_str(), "all" | "global" | "has") && self.take("(") {
            let selected = match word.as_str() {
                // Pods are never global: they are in namespaces.
                "global" => false,
                "has" => {
                    let label = self.word()?;
                    (self.value_of)(&label).is_some()
                }
                _ => true,
            };
            return self.take(")").then_some(selected);
        }
        self.comparison(&word)
    }

    fn comparison(&mut self, label: &str) -> Option<bool> {
        let value = (self.value_of)(label);
        if self.take("==") {
            let text = self.text()?;
            return Some(value == Some(text.as_str()));
        }
        if self.take("!=") {
            let text = self.text()?;
            return Some(value != Some(text.as_str()));
        }
        match self.word()?.as_str() {
            "in" => {
                let set = self.set()?;
                Some(value.is_some_and(|v| set.iter().any(|s| s == v)))
            }
            "not" => {
                if self.word()? != "in" {
                    return None;
                }
                let set = self.set()?;
                Some(value.is_none_or(|v| set.iter().all(|s| s != v)))
            }
            "contains" => {
                let text = self.text()?;
                Some(value.is_some_and(|v| v.contains(&text)))
            }
            side @ ("starts" | "ends") => {
                if self.word()? != "with" {
                    return None;
                }
                let text = self.text()?;
                Some(value.is_some_and(|v| match side {
                    "starts" => v.starts_with(&text),
                    _ => v.ends_with(&text),
                }))
            }
            _ => None,
        }
    }

    fn set(&mut self) -> Option<Vec<String>> {
        let mut set = Vec::new();
        if !self.take("{") {
            return None;
        }
        while !self.take("}") {
            set.push(self.text()?);
            if !self.take(",") && self.tokens.first() != Some(&Token::Sign("}")) {
                return None;
            }
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_pod(expression: &str) -> Option<bool> {
        let labels = [("app", "db"), ("role/x", "main-1")];
        selects(expression, &|key| {
            labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
        })
    }

    #[test]
    fn expressions_are_read_as_calico_reads_them() {
        for selected in [
            "",
            "all()",
            "app == 'db'",
            "app == \"db\" && has(role/x)",
            "app != 'web'",
            "absent != 'x'",
            "absent not in {'x'}",
            "app in {'web', 'db'}",
            "!has(absent)",
            "role/x starts with 'main' && role/x ends with '-1' && role/x contains 'n-'",
            "app == 'web' && app == 'web' || app == 'db'",
            "!(app == 'web')",
        ] {
            assert_eq!(of_pod(selected), Some(true), "{selected}");
        }
        for not_selected in [
            "app == 'web'",
            "has(absent)",
            "app in {}",
            "app not in {'db'}",
            "!all()",
            "global()",
            "app == 'db' && (app == 'web' || has(absent))",
        ] {
            assert_eq!(of_pod(not_selected), Some(false), "{not_selected}");
        }
        for unreadable in [
            "app = 'db'",
            "app ==",
            "has(",
            "app == 'db",
            "app == 'db' has(x)",
            "%",
        ] {
            assert_eq!(of_pod(unreadable), None, "{unreadable}");
        }
        assert_eq!(of_pod(&"!".repeat(100_000)), None);
        assert_eq!(of_pod(&"(".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[ a-c'\"!=&|(){},]{0,40}") {
            let _ = of_pod(&text);
        }
    }
}
