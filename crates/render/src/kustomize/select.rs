//! Which objects a patch is for.

use std::borrow::Cow;

use regex::Regex;
use stagegate_core::{Mark, Node};

use super::id::{Id, NO_NAMESPACE};
use super::resource::{Resource, previous_namespace};
use super::scalars::Scalars;
use super::spec::{ExactTarget, Text};

/// The target of a patch. Types and names are patterns that must fit as a whole.
pub(crate) struct Target {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: LabelSelector,
    annotations: LabelSelector,
    /// Whether a name is asked for.
    pub(crate) names_one: bool,
}

/// A pattern; most are plain names.
enum Pattern {
    Anything,
    Plain(String),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Ok(Pattern::Anything);
        }
        if !text.contains(|c: char| r"\.+*?()|[]{}^$".contains(c)) {
            return Ok(Pattern::Plain(text.to_owned()));
        }
        let regex = Regex::new(&format!("^(?:{text})$"));
        let regex = regex.map_err(|_| format!("{text:?} is no regular expression"))?;
        Ok(Pattern::Regex(regex))
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Pattern::Anything => true,
            Pattern::Plain(plain) => plain == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Target {
    /// # Errors
    /// A pattern or a selector that is none: its place, and why.
    pub(crate) fn new(exact: &ExactTarget, mark: Mark) -> Result<Target, (Mark, String)> {
        let pattern = |text: &str| Pattern::new(text).map_err(|message| (mark, message));
        let selector =
            |text: &Text| LabelSelector::new(text).map_err(|message| (text.mark, message));
        Ok(Target {
            group: pattern(&exact.of.group)?,
            version: pattern(&exact.of.version)?,
            kind: pattern(&exact.of.kind)?,
            names_one: !exact.name.is_empty(),
            name: pattern(&exact.name)?,
            namespace: pattern(&exact.namespace)?,
            labels: selector(&exact.label_selector)?,
            annotations: selector(&exact.annotation_selector)?,
        })
    }

    /// Whether an object is meant, by the name that it had first or that it has.
    pub(crate) fn selects(&self, resource: &Resource, scalars: Scalars<'_>) -> bool {
        let current = resource.id();
        if !(self.kind.fits(&current.of.kind)
            && self.group.fits(&current.of.group)
            && self.version.fits(&current.of.version))
        {
            return false;
        }
        let original = resource.previous_ids(&current.of).next();
        let original_namespace = original
            .as_ref()
            .map_or_else(|| current.effective_namespace(), previous_namespace);
        let original_name = original.as_ref().map_or(&current.name, |id| &id.name);
        (self.namespace.fits(original_namespace)
            || self.namespace.fits(current.effective_namespace()))
            && (self.name.fits(original_name) || self.name.fits(&current.name))
            && self.labels.selects(&resource.node, "labels", scalars)
            && self
                .annotations
                .selects(&resource.node, "annotations", scalars)
    }
}

/// A selector in words: `app=api,tier in (a, b),!legacy`.
#[derive(Debug, Default)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

impl LabelSelector {
    /// Reads a selector. Source: `labels.Parse` of apimachinery.
    ///
    /// # Errors
    /// What is none, in words.
    pub(crate) fn new(text: &Text) -> Result<LabelSelector, String> {
        let wrong = || {
            format!(
                "{:?} is no selector, such as app=api,tier in (a, b),!legacy",
                text.value
            )
        };
        let mut requirements = Vec::new();
        let mut rest = text.as_str().trim();
        while !rest.is_empty() {
            let (requirement, behind) = requirement(rest).ok_or_else(wrong)?;
            requirements.push(requirement);
            rest = behind.trim_start();
            match rest.strip_prefix(',') {
                Some(behind) if !behind.trim().is_empty() => rest = behind.trim_start(),
                None if rest.is_empty() => {}
                _ => return Err(wrong()),
            }
        }
        Ok(LabelSelector(requirements))
    }

    /// Whether the labels or annotations of an object are selected.
    pub(crate) fn selects(&self, node: &Node, field: &str, scalars: Scalars<'_>) -> bool {
        let held = node
            .get("metadata")
            .and_then(|m| m.get(field))
            .and_then(Node::as_map);
        self.0.iter().all(|requirement| {
            let value = held.and_then(|map| map.get(&requirement.key));
            requirement.fits(value.map(|node| scalars.text(node)))
        })
    }
}

impl Requirement {
    fn fits(&self, value: Option<Cow<'_, str>>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        let number = |text: &str| text.parse::<i64>().ok();
        match (self.operator, value) {
            (Operator::In, Some(value)) => listed(&value),
            (Operator::NotIn, Some(value)) => !listed(&value),
            (Operator::Exists, value) => value.is_some(),
            (Operator::Absent, value) => value.is_none(),
            (Operator::NotIn, None) => true,
            (Operator::Greater | Operator::Less, Some(value)) => {
                let bound = self.values.first().and_then(|v| number(v));
                match (number(&value), bound) {
                    (Some(value), Some(bound)) if self.operator == Operator::Greater => {
                        value > bound
                    }
                    (Some(value), Some(bound)) => value < bound,
                    _ => false,
                }
            }
            (Operator::In | Operator::Greater | Operator::Less, None) => false,
        }
    }
}

fn requirement(text: &str) -> Option<(Requirement, &str)> {
    let word = |text: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        text.find(|c| !is_word(c)).unwrap_or(text.len())
    };
    if let Some(rest) = text.strip_prefix('!') {
        let rest = rest.trim_start();
        let (key, rest) = rest.split_at(word(rest));
        let requirement = Requirement {
            key: key.to_owned(),
            operator: Operator::Absent,
            values: Vec::new(),
        };
        return (!key.is_empty()).then_some((requirement, rest));
    }
    let (key, rest) = text.split_at(word(text));
    if key.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let of = |operator, values: Vec<String>| Requirement {
        key: key.to_owned(),
        operator,
        values,
    };
    let single = [
        ("!=", Operator::NotIn),
        ("==", Operator::In),
        ("=", Operator::In),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ];
    for (sign, operator) in single {
        if let Some(rest) = rest.strip_prefix(sign) {
            let rest = rest.trim_start();
            let (value, rest) = rest.split_at(word(rest));
            return Some((of(operator, vec![value.to_owned()]), rest));
        }
    }
    for (name, operator) in [("in", Operator::In), ("notin", Operator::NotIn)] {
        let Some(rest) = rest.strip_prefix(name) else {
            continue;
        };
        let Some((values, rest)) = rest
            .trim_start()
            .strip_prefix('(')
            .and_then(|r| r.split_once(')'))
        else {
            continue;
        };
        let values: Vec<String> = values.split(',').map(|v| v.trim().to_owned()).collect();
        let is_value = |value: &String| word(value) == value.len();
        return values
            .iter()
            .all(is_value)
            .then(|| (of(operator, values), rest));
    }
    Some((of(Operator::Exists, Vec::new()), rest))
}

impl ExactTarget {
    /// Whether one of the names that an object has or had is selected.
    pub(crate) fn selects(&self, ids: &[Id]) -> bool {
        ids.iter().any(|id| {
            (self.name.is_empty() || self.name == id.name)
                && (self.namespace.is_empty()
                    || super::id::effective(&self.namespace) == namespace_of(id))
                && id.of.fits(&self.of)
        })
    }
}

fn namespace_of(id: &Id) -> &str {
    if id.namespace == NO_NAMESPACE {
        NO_NAMESPACE
    } else {
        super::id::effective(&id.namespace)
    }
}

#[cfg(test)]
mod tests {
    use stagegate_manifest::Sources;

    use super::*;

    #[test]
    fn selectors_in_words_are_those_of_kubectl() {
        let sources = Sources::new();
        let node: Node = serde_json::from_str(
            r#"{"metadata": {"labels": {"app": "api", "tier": "b", "n": "5"}}}"#,
        )
        .unwrap();
        let selects = |text: &str| {
            let text = Text {
                value: text.into(),
                mark: Mark::NONE,
            };
            LabelSelector::new(&text).map(|s| s.selects(&node, "labels", Scalars(&sources)))
        };
        for text in [
            "",
            "app=api",
            "app==api",
            "app = api , tier=b",
            "x!=y",
            "tier in (a, b)",
            "tier notin (c)",
            "x notin (c)",
            "app",
            "!x",
            "n>4,n<6",
            "inn!=1",
        ] {
            assert_eq!(selects(text), Ok(true), "{text}");
        }
        for text in [
            "app=x",
            "app!=api",
            "tier in (a)",
            "x",
            "!app",
            "n>5",
            "x in (y)",
        ] {
            assert_eq!(selects(text), Ok(false), "{text}");
        }
        for text in ["=x", "app=api,", "app api", "tier in a", "tier in (a"] {
            assert!(selects(text).is_err(), "{text}");
        }
    }
}
