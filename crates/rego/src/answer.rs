//! What a rule says, as violations.

use std::collections::BTreeMap;

use regorus::Value;
use stagegate_core::{
    Context, Enforcement, Object, Place, Pointer, PolicyError, Related, Violation,
};

use crate::convert::{field, object_of};
use crate::evaluate::Program;
use crate::secrets;

/// What the rule `violation` of a program says about an object, for an input of these fields.
///
/// # Errors
/// If it cannot be evaluated, or says what is no violation.
pub(crate) fn of_rule(
    cx: &Context<'_>,
    object: &Object,
    program: &Program,
    rule: &str,
    fields: Vec<(&'static str, Value)>,
) -> Result<Vec<Violation>, PolicyError> {
    let answer = program.evaluate(rule, object_of(fields));
    let answer = answer.map_err(|error| secrets::hide_in_error(object, error))?;
    violations(cx, object, "violation", &answer)
}

/// What a set or an array of messages says about an object.
///
/// # Errors
/// If it is something else, or if there is no message in a member.
pub(crate) fn violations(
    cx: &Context<'_>,
    object: &Object,
    rule: &str,
    answer: &Value,
) -> Result<Vec<Violation>, PolicyError> {
    let members: Vec<&Value> = match answer {
        Value::Undefined => Vec::new(),
        Value::Set(members) => members.iter_sorted().collect(),
        Value::Array(members) => members.iter().collect(),
        other => {
            return Err(PolicyError::Failed(format!(
                "`{rule}` must be a set of violations, and is {}",
                kind_of(other)
            )));
        }
    };
    let mut violations = Vec::with_capacity(members.len());
    for member in members {
        violations.push(violation(cx, object, rule, member)?);
    }
    secrets::hide_in_violations(object, &mut violations);
    tell_apart(&mut violations);
    Ok(violations)
}

fn violation(
    cx: &Context<'_>,
    object: &Object,
    rule: &str,
    member: &Value,
) -> Result<Violation, PolicyError> {
    let failed = |what: String| PolicyError::Failed(format!("`{rule}`: {what}"));
    let message = match member {
        Value::String(text) => text.to_string(),
        Value::Object(_) => match field(member, "msg") {
            Some(Value::String(text)) => text.to_string(),
            Some(other) => {
                return Err(failed(format!(
                    "`msg` must be a text, and is {}",
                    kind_of(other)
                )));
            }
            None => return Err(failed("a violation has no `msg`".to_owned())),
        },
        other => {
            let kind = kind_of(other);
            return Err(failed(format!(
                "a violation must be a text or an object with `msg`, and is {kind}"
            )));
        }
    };
    let mut violation = match field(member, "pointer") {
        None => Violation::of_file(message.clone(), message),
        Some(pointer) => Violation::at_pointer(&object.node, &parse(rule, pointer)?, message),
    };
    if let Some(Value::String(help)) = field(member, "help") {
        violation.help = Some(help.to_string());
    }
    if let Some(Value::Array(related)) = field(member, "related") {
        for other in related.iter() {
            violation
                .related
                .extend(self::related(cx, rule, object, other)?);
        }
    }
    if field(member, "missing") == Some(&Value::Bool(true)) {
        violation = violation.in_an_open_world(cx.gap(object));
    }
    Ok(violation)
}

fn parse(rule: &str, pointer: &Value) -> Result<Pointer, PolicyError> {
    let text = match pointer {
        Value::String(text) => Pointer::parse(text),
        _ => None,
    };
    text.ok_or_else(|| {
        PolicyError::Failed(format!(
            "`{rule}`: `pointer` must be a JSON pointer such as /spec/replicas"
        ))
    })
}

/// Another place: `{"pointer", "message"}` in the object, or with `"object": {"kind", "namespace",
/// "name"}` in a neighbour.
fn related(
    cx: &Context<'_>,
    rule: &str,
    subject: &Object,
    other: &Value,
) -> Result<Option<Related>, PolicyError> {
    let text = |value: &Value, key: &str| match field(value, key) {
        Some(Value::String(text)) => Some(text.to_string()),
        _ => None,
    };
    let message = text(other, "message").unwrap_or_default();
    let pointer = match field(other, "pointer") {
        Some(pointer) => parse(rule, pointer)?,
        None => Pointer::root(),
    };
    let Some(neighbour) = field(other, "object") else {
        return Ok(Some(Related {
            place: Place::Here(pointer),
            message,
        }));
    };
    let group = text(neighbour, "apiVersion").unwrap_or_default();
    let (kind, name) = (text(neighbour, "kind"), text(neighbour, "name"));
    let namespace = text(neighbour, "namespace");
    let Some((kind, name)) = kind.zip(name) else {
        return Ok(None);
    };
    let objects = cx.world.inventory.map_or(&[][..], |i| i.objects());
    let found = objects.iter().find(|object| {
        let own = &object.reference;
        own.kind == kind
            && own.name == name
            && (group.is_empty() || own.api_version == group)
            && namespace
                .as_ref()
                .is_none_or(|wanted| crate::convert::namespace_of(object) == wanted)
            && !std::ptr::eq(object.as_ref(), subject)
    });
    Ok(found.map(|object| Related {
        place: Place::Elsewhere(object.node.nearest(&pointer).mark),
        message,
    }))
}

/// Several violations in one place are told apart by what they say.
fn tell_apart(violations: &mut [Violation]) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for violation in violations.iter() {
        *times.entry(violation.key.clone()).or_default() += 1;
    }
    for violation in violations {
        if times[&violation.key] > 1 {
            violation.key = format!("{} ({})", violation.key, violation.message);
        }
    }
}

/// Bounds violations at warn.
pub(crate) fn only_warn(violations: Vec<Violation>) -> impl Iterator<Item = Violation> {
    violations.into_iter().map(|v| v.at_most(Enforcement::Warn))
}

/// What a value is, without what it holds: it may be secret.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}

/// The parameters of a policy as Rego sees them.
pub(crate) fn parameters(cx: &Context<'_>) -> Value {
    let form = cx.parameters_as(|| crate::convert::value_of(cx.parameters));
    Value::clone(&form)
}
