//! What a policy says may hold what it saw, and what it saw may be a secret.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regorus::{Rc, Value};
use stagegate_core::{Node, Object, PolicyError, Violation};

/// What a secret is shown as, whatever its length.
const MASK: &str = "********";
/// Shorter values are part of every other word.
const SHORTEST: usize = 4;

fn is_secret(object: &Object) -> bool {
    object.reference.kind == "Secret" && object.reference.group().is_empty()
}

/// The values of a Secret, as they stand there and as they are meant, longest first.
fn values(object: &Object) -> Vec<String> {
    if !is_secret(object) {
        return Vec::new();
    }
    let of = |key: &str| object.node.get(key).map_or(&[][..], Node::entries);
    let texts = of("data").iter().chain(of("stringData"));
    let mut values = Vec::new();
    for text in texts.filter_map(|entry| entry.node.as_str()) {
        let decoded = STANDARD.decode(text.trim()).ok();
        values.extend(decoded.and_then(|bytes| String::from_utf8(bytes).ok()));
        values.push(text.to_owned());
    }
    // A text of several lines may be said line by line.
    let lines: Vec<String> = values
        .iter()
        .flat_map(|v| v.lines())
        .map(str::to_owned)
        .collect();
    values.extend(lines);
    values.retain(|value| value.trim().len() >= SHORTEST);
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.dedup();
    values
}

/// Hides the values of the Secret that is judged in what is said about it.
pub(crate) fn hide_in_violations(object: &Object, violations: &mut [Violation]) {
    let values = values(object);
    if values.is_empty() {
        return;
    }
    for violation in violations {
        let related = violation
            .related
            .iter_mut()
            .map(|related| &mut related.message);
        let texts = [&mut violation.message, &mut violation.key].into_iter();
        for text in texts.chain(violation.help.as_mut()).chain(related) {
            if let Cow::Owned(hidden) = hide(text, &values) {
                *text = hidden;
            }
        }
    }
}

/// The same for what kept a policy from judging it.
pub(crate) fn hide_in_error(object: &Object, error: PolicyError) -> PolicyError {
    let values = values(object);
    match error {
        PolicyError::Failed(message) => PolicyError::Failed(hide(&message, &values).into_owned()),
        other => other,
    }
}

fn hide<'t>(text: &'t str, values: &[String]) -> Cow<'t, str> {
    let mut hidden = Cow::Borrowed(text);
    for value in values {
        if hidden.contains(value) {
            hidden = Cow::Owned(hidden.replace(value, MASK));
        }
    }
    hidden
}

/// A Secret as a neighbour: its keys, not its values.
pub(crate) fn as_neighbour(object: &Object, value: Value) -> Value {
    if !is_secret(object) {
        return value;
    }
    let Value::Object(fields) = &value else {
        return value;
    };
    let masked = fields.iter().map(|(key, value)| {
        let is_data =
            matches!(key, Value::String(k) if matches!(k.as_ref(), "data" | "stringData"));
        let value = match value {
            Value::Object(entries) if is_data => {
                let entries = entries
                    .iter()
                    .map(|(key, _)| (key.clone(), Value::from(MASK)));
                Value::Object(Rc::new(entries.collect()))
            }
            other => other.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(Rc::new(masked.collect()))
}
