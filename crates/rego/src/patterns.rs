//! Patterns as Go reads them, in the syntax of the `regex` crate.
//!
//! OPA hands patterns to Go's `regexp` (RE2) and globs to gobwas/glob. Both are read here by the rules
//! of those, and written anew: what the `regex` crate would read otherwise is spelled out.

use anyhow::{Result, bail};

/// How often something may be repeated in Go, also by repetitions of repetitions.
const MAX_REPEAT: u64 = 1000;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
/// Without the vertical tab, which only `[[:space:]]` has.
const SPACE: &str = r"\t\n\x0C\r ";
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// A pattern for Go's `regexp`, for the `regex` crate. What is an error there and would not be one
/// here is an error now.
pub(crate) fn from_re2(pattern: &str) -> Result<String> {
    let mut translation = Translation {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        is_repeated: false,
        open: Vec::new(),
        weight: Weight::default(),
    };
    while let Some(c) = translation.next() {
        let was_repeated = std::mem::take(&mut translation.is_repeated);
        translation.item(c, was_repeated)?;
    }
    Ok(translation.out)
}

/// How often what was read is repeated at most.
#[derive(Clone, Copy, Default)]
struct Weight {
    /// The last item.
    last: u64,
    /// The items of the group before it.
    before: u64,
}

impl Weight {
    fn item(&mut self, weight: u64) {
        self.before = self.before.max(self.last);
        self.last = weight;
    }
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    /// A repetition was read last.
    is_repeated: bool,
    /// The weights of the groups around.
    open: Vec<Weight>,
    weight: Weight,
}

impl<'p> Translation<'p> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, end: &str) -> Option<&'p str> {
        let (inside, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(inside)
    }

    fn item(&mut self, c: char, was_repeated: bool) -> Result<()> {
        match c {
            '*' | '+' | '?' => {
                self.may_repeat(was_repeated)?;
                self.out.push(c);
                self.is_lazy();
            }
            '{' => match counted(self.rest) {
                Some((text, min, max)) => {
                    self.may_repeat(was_repeated)?;
                    self.count(min, max)?;
                    self.rest = self.rest.get(text.len()..).unwrap_or_default();
                    self.out.push('{');
                    self.out.push_str(text);
                    self.is_lazy();
                }
                None => self.literal('{'),
            },
            '(' => self.group()?,
            ')' => {
                self.out.push(')');
                let inside = self.weight.before.max(self.weight.last);
                self.weight = self.open.pop().unwrap_or_default();
                self.weight.item(inside);
            }
            '[' => {
                self.class()?;
                self.weight.item(1);
            }
            '\\' => self.escape()?,
            '.' | '^' | '$' | '|' => {
                self.out.push(c);
                self.weight.item(1);
            }
            c => self.literal(c),
        }
        Ok(())
    }

    fn may_repeat(&self, was_repeated: bool) -> Result<()> {
        if was_repeated {
            bail!("a repetition of a repetition");
        }
        Ok(())
    }

    fn is_lazy(&mut self) {
        if self.skip("?") {
            self.out.push('?');
        }
        self.is_repeated = true;
    }

    fn count(&mut self, min: u64, max: Option<u64>) -> Result<()> {
        let most = max.unwrap_or(min);
        if min.max(most) > MAX_REPEAT || most < min {
            bail!("a repetition of more than {MAX_REPEAT}, or of more than at the most");
        }
        self.weight.last = self.weight.last.max(1).saturating_mul(most);
        if min.max(most) >= 2 && self.weight.last > MAX_REPEAT {
            bail!("repetitions of more than {MAX_REPEAT} in all");
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.out, c);
        self.weight.item(1);
    }

    fn group(&mut self) -> Result<()> {
        if !self.rest.starts_with('?') {
            self.out.push('(');
            self.enter();
            return Ok(());
        }
        if self.skip("?P<") || self.skip("?<") {
            let name = self.until(">").unwrap_or_default();
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                bail!("a group without a name that is one");
            }
            self.out.push_str("(?P<");
            self.out.push_str(name);
            self.out.push('>');
            self.enter();
            return Ok(());
        }
        self.skip("?");
        self.out.push_str("(?");
        loop {
            match self.next() {
                Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.push(c),
                Some(':') => {
                    self.out.push(':');
                    self.enter();
                    return Ok(());
                }
                Some(')') => {
                    self.out.push(')');
                    return Ok(());
                }
                // Among them x, which Go does not have, and what looks ahead or behind.
                _ => bail!("a group that is not known"),
            }
        }
    }

    fn enter(&mut self) {
        self.open.push(self.weight);
        self.weight = Weight::default();
    }

    fn escape(&mut self) -> Result<()> {
        let Some(c) = self.next() else {
            bail!("a backslash at the end");
        };
        match c {
            'A' => self.out.push_str(r"\A"),
            'z' => self.out.push_str(r"\z"),
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => self.out.push_str(r"(?-u:\B)"),
            'Q' => {
                let quoted = match self.until(r"\E") {
                    Some(quoted) => quoted,
                    None => std::mem::take(&mut self.rest),
                };
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            'p' | 'P' => self.unicode_class(c == 'P')?,
            c => match perl_class(c) {
                Some((ranges, true)) => self.out.extend(["[^", ranges, "]"]),
                Some((ranges, false)) => self.out.extend(["[", ranges, "]"]),
                None => {
                    let c = self.escaped(c)?;
                    push_literal(&mut self.out, c);
                }
            },
        }
        self.weight.item(1);
        Ok(())
    }

    /// The character behind a backslash, of which `c` is read.
    fn escaped(&mut self, c: char) -> Result<char> {
        let is_octal = |c: char| c.is_digit(8);
        Ok(match c {
            // A single digit would be a reference to a group.
            '0' => self.octal(0)?,
            '1'..='7' if self.rest.starts_with(is_octal) => {
                self.octal(c.to_digit(8).unwrap_or(0))?
            }
            'x' => {
                let digits = if self.skip("{") {
                    self.until("}").unwrap_or_default()
                } else {
                    let digits = self.rest.get(..2).unwrap_or_default();
                    self.rest = self.rest.get(2..).unwrap_or_default();
                    digits
                };
                let is_hex = digits.chars().all(|c| c.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                let Some(c) = code.and_then(char::from_u32) else {
                    bail!("an escape of no character");
                };
                c
            }
            'a' => '\x07',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0B',
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => bail!("an escape that is not known"),
        })
    }

    fn octal(&mut self, mut code: u32) -> Result<char> {
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.next();
            code = code * 8 + digit;
        }
        match char::from_u32(code) {
            Some(c) => Ok(c),
            None => bail!("an escape of no character"),
        }
    }

    /// `\pN` or `\p{Greek}`, behind the p.
    fn unicode_class(&mut self, is_negated: bool) -> Result<()> {
        let name = if self.skip("{") {
            self.until("}").unwrap_or_default()
        } else {
            let length = self.rest.chars().next().map_or(0, char::len_utf8);
            let (name, rest) = self.rest.split_at(length);
            self.rest = rest;
            name
        };
        let (name, is_negated) = match name.strip_prefix('^') {
            Some(name) => (name, !is_negated),
            None => (name, is_negated),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) {
            bail!("a class that is not known");
        }
        let letter = if is_negated { r"\P{" } else { r"\p{" };
        self.out.extend([letter, name, "}"]);
        Ok(())
    }

    /// A class, behind its bracket.
    fn class(&mut self) -> Result<()> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let Some(c) = self.next() else {
                bail!("a class that does not end");
            };
            if c == ']' && !is_first {
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            if c == '['
                && let Some(inside) = self.rest.strip_prefix(':')
                && let Some((name, rest)) = inside.split_once(":]")
            {
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    bail!("a class that is not known");
                }
                self.out.extend(["[:", name, ":]"]);
                self.rest = rest;
                continue;
            }
            if c == '\\' {
                if self.skip("p") {
                    self.unicode_class(false)?;
                    continue;
                }
                if self.skip("P") {
                    self.unicode_class(true)?;
                    continue;
                }
                if let Some((ranges, is_negated)) = self.rest.chars().next().and_then(perl_class) {
                    self.next();
                    match is_negated {
                        true => self.out.extend(["[^", ranges, "]"]),
                        false => self.out.push_str(ranges),
                    }
                    continue;
                }
            }
            let low = self.class_char(c)?;
            push_in_class(&mut self.out, low);
            if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
                self.skip("-");
                let Some(c) = self.next() else {
                    bail!("a class that does not end");
                };
                let high = self.class_char(c)?;
                if high < low {
                    bail!("a range that runs backwards");
                }
                self.out.push('-');
                push_in_class(&mut self.out, high);
            }
        }
    }

    fn class_char(&mut self, c: char) -> Result<char> {
        match (c, self.rest.is_empty()) {
            ('\\', true) => bail!("a backslash at the end"),
            ('\\', false) => {
                let c = self.next().unwrap_or_default();
                self.escaped(c)
            }
            (c, _) => Ok(c),
        }
    }
}

/// The ranges of `\d` and its like, and whether they are those that do not match.
fn perl_class(letter: char) -> Option<(&'static str, bool)> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        'w' => WORD,
        's' => SPACE,
        _ => return None,
    };
    Some((ranges, letter.is_ascii_uppercase()))
}

/// `n}`, `n,}` or `n,m}`, as it is written, and the bounds. Everything else is no repetition.
fn counted(rest: &str) -> Option<(&str, u64, Option<u64>)> {
    let inside = rest.split_once('}')?.0;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let has_zeros = digits.len() > 1 && digits.starts_with('0');
        // One too large to be read is too large.
        (is_number && !has_zeros).then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (min, max) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((rest.get(..=inside.len())?, min, max))
}

fn push_literal(out: &mut String, c: char) {
    if r"\.+*?()|[]{}^$".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

fn push_in_class(out: &mut String, c: char) {
    if r"\[]^-&~".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

/// A text as a pattern for Go that matches it alone.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_literal(&mut out, c));
    out
}

/// A glob as gobwas/glob reads it, for the `regex` crate: it matches the whole of a text.
pub(crate) fn from_glob(glob: &str, delimiters: &[char]) -> Result<String> {
    // They end or break a glob there.
    if glob.contains(['\0', '\u{FFFD}']) {
        bail!("a character that a glob cannot hold");
    }
    let mut one = String::from("[^");
    delimiters.iter().for_each(|c| push_in_class(&mut one, *c));
    one.push(']');
    if delimiters.is_empty() {
        one = ".".to_owned();
    }
    let mut out = String::from(r"(?s)\A");
    let mut depth = 0_usize;
    let mut chars = glob.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => {
                out.push_str(&one);
                out.push('*');
            }
            '?' => out.push_str(&one),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            ',' if depth > 0 => out.push('|'),
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            '[' => glob_class(&mut chars, &mut out)?,
            '\\' => {
                // At the end it stands for nothing.
                if let Some(c) = chars.next() {
                    push_literal(&mut out, c);
                }
            }
            c => push_literal(&mut out, c),
        }
    }
    // Braces that are not closed end with the glob.
    (0..depth).for_each(|_| out.push(')'));
    out.push_str(r"\z");
    Ok(out)
}

/// A class of a glob, behind its bracket: one range, or characters, but not both.
fn glob_class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<()> {
    let mut first = chars.next();
    out.push('[');
    if first == Some('!') {
        out.push('^');
        first = chars.next();
    }
    let Some(first) = first else {
        bail!("a class that does not end");
    };
    if chars.next_if_eq(&'-').is_some() {
        let (Some(high), Some(']')) = (chars.next(), chars.next()) else {
            bail!("a range with more than its two ends");
        };
        if high < first {
            bail!("a range that runs backwards");
        }
        push_in_class(out, first);
        out.push('-');
        push_in_class(out, high);
        out.push(']');
        return Ok(());
    }
    let mut next = Some(first);
    let mut is_empty = true;
    while let Some(c) = next {
        match c {
            ']' if is_empty => bail!("a class of nothing"),
            ']' => {
                out.push(']');
                return Ok(());
            }
            '\\' => {
                let Some(c) = chars.next() else { break };
                push_in_class(out, c);
            }
            c => push_in_class(out, c),
        }
        is_empty = false;
        next = chars.next();
    }
    bail!("a class that does not end")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn what_both_read_alike_stays() {
        for pattern in [
            "",
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            r"^(?i)v\.[0-9]{1,3}(?:x|y)+?$",
            "(?s)a.b{2,}|é",
        ] {
            let expected = pattern.replace("[-a", r"[\-a");
            assert_eq!(from_re2(pattern).unwrap(), expected);
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "x**",
            "x*+",
            "x{2}{3}",
            "x{1001}",
            "(a{100}){11}",
            "x{2,1}",
            "(?x:a)",
            "(?=a)",
            r"\u00e9",
            r"\1",
            r"\é",
            r"[a-\d]",
            "[[:foo:]]",
            r"a\",
            "[b-a]",
            "[a",
            r"\C",
            r"\x{110000}",
            "(?P<a-b>c)",
        ] {
            assert!(from_re2(pattern).is_err(), "{pattern}");
        }
    }

    /// By trying: `*`, `?` and `**`, with one delimiter.
    fn is_match(glob: &[char], text: &[char], delimiter: char) -> bool {
        let is_one = |c: &char| *c != delimiter;
        match (glob, text) {
            (['*', '*', rest @ ..], _) => {
                (0..=text.len()).any(|n| is_match(rest, &text[n..], delimiter))
            }
            (['*', rest @ ..], _) => (0..=text.len())
                .take_while(|n| text[..*n].iter().all(is_one))
                .any(|n| is_match(rest, &text[n..], delimiter)),
            (['?', rest @ ..], [c, text @ ..]) => is_one(c) && is_match(rest, text, delimiter),
            ([a, rest @ ..], [b, text @ ..]) => a == b && is_match(rest, text, delimiter),
            ([], text) => text.is_empty(),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_by_trying(glob in "[ab/é.*?]{0,7}", text in "[ab/é.]{0,6}") {
            let pattern = Regex::new(&from_glob(&glob, &['/']).unwrap()).unwrap();
            let (g, t): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
            prop_assert_eq!(pattern.is_match(&text), is_match(&g, &t, '/'));
        }

        #[test]
        fn any_text_can_be_read(text in r"([\\\[\](){}*+?|^$.&~:,a-d0-9é-]|\\Q|\\E|\(\?|\[:|:\]|\\p\{|\\x){0,12}") {
            let _ = from_re2(&text);
            if let Ok(pattern) = from_glob(&text, &['/', ']']) {
                prop_assert!(Regex::new(&pattern).is_ok(), "{}", pattern);
            }
        }

        #[test]
        fn quoted_text_matches_itself_alone(text in ".{0,8}", other in ".{0,8}") {
            let pattern = from_re2(&format!(r"\A{}\z", quoted(&text))).unwrap();
            let pattern = Regex::new(&pattern).unwrap();
            prop_assert!(pattern.is_match(&text));
            prop_assert_eq!(pattern.is_match(&other), text == other);
        }
    }
}
