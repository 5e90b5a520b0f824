//! The JSON Schema of the file, with every policy's parameters in it, and what it has to say about
//! one.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value, json};
use stagegate_core::{Meta, Node, Pointer};

use crate::model::File;
use crate::{ConfigError, suggest};

/// The JSON Schema of the file for these policies.
pub fn schema<'m>(policies: impl Iterator<Item = &'m Meta>) -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    let definition = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let mut properties = Map::new();
    let mut in_stage = Map::new();
    for meta in policies {
        let mut policy = schema["$defs"]["Policy"].clone();
        let mut stage = schema["$defs"]["InStage"].clone();
        let parameters = meta.parameter_schema();
        stage["properties"]["parameters"] = parameters.clone();
        let stage_name = format!("InStage-{}", meta.id);
        policy["properties"]["parameters"] = parameters;
        policy["properties"]["stages"]["additionalProperties"] = definition(&stage_name);
        policy["description"] = json!(meta.title);
        properties.insert(meta.id.to_string(), policy);
        in_stage.insert(stage_name, stage);
    }
    schema["properties"]["policies"]["properties"] = Value::Object(properties);
    schema["properties"]["policies"]["additionalProperties"] = json!(false);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        definitions.remove("Policy");
        definitions.remove("InStage");
        definitions.extend(in_stage);
    }
    schema
}

/// The document as JSON. A key without a value is a key that is not there.
pub(crate) fn instance(root: &Node) -> Value {
    fn without_nulls(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(without_nulls);
            }
            Value::Array(items) => items.iter_mut().for_each(without_nulls),
            _ => {}
        }
    }
    // A tree of JSON's own values cannot fail to be JSON.
    let mut instance = serde_json::to_value(root).unwrap_or_default();
    without_nulls(&mut instance);
    instance
}

/// Every way in which a document does not fit the schema.
pub(crate) fn validate(
    schema: &Value,
    instance: &Value,
    root: &Node,
    errors: &mut Vec<ConfigError>,
) {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        // A policy's own schema of its parameters is no schema.
        Err(error) => {
            errors.push(ConfigError {
                mark: root.mark,
                message: format!("the schema of a policy's parameters is wrong: {error}"),
                help: None,
            });
            return;
        }
    };
    for error in validator.iter_errors(instance) {
        tell(schema, root, &error, errors);
    }
}

fn tell(schema: &Value, root: &Node, error: &ValidationError<'_>, errors: &mut Vec<ConfigError>) {
    let path = error.instance_path().to_string();
    let pointer = Pointer::parse(&path).unwrap_or_default();
    let node = root.nearest(&pointer);
    let what = what_is_at(&pointer);
    let here = at(schema, &pointer);
    let mut push = |mark, message: String, help: Option<String>| {
        errors.push(ConfigError {
            mark,
            message,
            help,
        });
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known: Vec<&str> = here
                .and_then(|s| s.get("properties")?.as_object())
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .collect();
            for key in unexpected {
                let entry = node.as_map().and_then(|map| map.entry(key));
                push(
                    entry.map_or(node.mark, |e| e.key_mark),
                    unknown_key(&pointer, key),
                    Some(if known.is_empty() {
                        "remove it: there are none".to_owned()
                    } else {
                        suggest(key, known.iter().copied())
                    }),
                );
            }
        }
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let known = match property {
                "apiVersion" if pointer.as_str().is_empty() => {
                    Some(format!("add `apiVersion: {}`", crate::API_VERSION))
                }
                "kind" if pointer.as_str().is_empty() => Some("add `kind: Config`".to_owned()),
                _ => None,
            };
            push(node.mark, format!("{what} has no `{property}`"), known);
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> = options
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let text = shown(node);
            let help = match (node.as_str(), options.as_slice()) {
                (_, [one]) => format!("write {one}"),
                (Some(text), _) => suggest(text, options.iter().copied()),
                (None, _) => format!("known are {}", options.join(", ")),
            };
            push(node.mark, format!("{what} cannot be {text}"), Some(help));
        }
        ValidationErrorKind::Constant { expected_value } => {
            push(node.mark, format!("{what} must be {expected_value}"), None);
        }
        ValidationErrorKind::Type { kind } => {
            let expected = here.map_or_else(|| expected_types(kind), |s| expected(schema, s));
            let is_text = matches!(expected.as_str(), "a text");
            let help = (is_text && node.as_str().is_none() && node.entries().is_empty())
                .then(|| "put it in quotes".to_owned());
            push(node.mark, format!("{what} must be {expected}"), help);
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The form that was meant is the one whose type fits.
            let meant = context.iter().find(|errors| {
                !errors.iter().any(|e| {
                    matches!(e.kind(), ValidationErrorKind::Type { .. })
                        && e.instance_path().to_string() == path
                })
            });
            match meant {
                Some(inner) => {
                    for error in inner {
                        tell(schema, root, error, errors);
                    }
                }
                None => {
                    let expected = here.map_or_else(String::new, |s| expected(schema, s));
                    push(node.mark, format!("{what} must be {expected}"), None);
                }
            }
        }
        ValidationErrorKind::MinLength { .. } => {
            push(node.mark, format!("{what} must not be empty"), None);
        }
        ValidationErrorKind::MinItems { .. } => {
            push(node.mark, format!("{what} must not be empty"), None);
        }
        ValidationErrorKind::Minimum { limit } => {
            push(node.mark, format!("{what} must be {limit} or more"), None);
        }
        ValidationErrorKind::Maximum { limit } => {
            push(node.mark, format!("{what} must be {limit} or less"), None);
        }
        ValidationErrorKind::Not { .. } => {
            let text = shown(node);
            push(
                node.mark,
                format!("{what} cannot be {text}"),
                Some("name each user in full, without patterns and groups".to_owned()),
            );
        }
        _ => push(node.mark, format!("{what}: {error}"), None),
    }
}

/// A value in a message.
fn shown(node: &Node) -> String {
    serde_json::to_string(node).unwrap_or_default()
}

/// What a place is called: its key, or that of the list that it is in.
fn what_is_at(pointer: &Pointer) -> String {
    let segments: Vec<_> = pointer.segments().collect();
    let is_index = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    match segments.iter().rev().find(|s| !is_index(s)) {
        None => "the configuration".to_owned(),
        Some(key) => {
            let is_item = segments.last().is_some_and(|last| is_index(last));
            if is_item {
                format!("an item of `{key}`")
            } else {
                format!("`{key}`")
            }
        }
    }
}

fn unknown_key(pointer: &Pointer, key: &str) -> String {
    let segments: Vec<_> = pointer.segments().collect();
    let names: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => format!("the configuration has no key `{key}`"),
        ["policies"] => format!("there is no policy {key:?}"),
        ["policies", policy, .., "parameters"] => {
            format!("the policy {policy} has no parameter {key:?}")
        }
        _ => format!("{} has no key `{key}`", what_is_at(pointer)),
    }
}

/// The schema of a place.
fn at<'s>(schema: &'s Value, pointer: &Pointer) -> Option<&'s Value> {
    let mut here = resolve(schema, schema)?;
    for segment in pointer.segments() {
        let segment: &str = &segment;
        let next = here
            .get("properties")
            .and_then(|p| p.get(segment))
            .or_else(|| here.get("additionalProperties").filter(|s| s.is_object()))
            .or_else(|| here.get("items"))?;
        here = resolve(schema, next)?;
    }
    Some(here)
}

/// Follows a reference, and the form that is not null of something optional.
fn resolve<'s>(schema: &'s Value, mut here: &'s Value) -> Option<&'s Value> {
    loop {
        if let Some(reference) = here.get("$ref").and_then(Value::as_str) {
            here = schema.pointer(reference.strip_prefix('#')?)?;
            continue;
        }
        let is_null = |s: &&Value| s.get("type").and_then(Value::as_str) != Some("null");
        let forms = here.get("anyOf").and_then(Value::as_array);
        match forms.map(|forms| forms.iter().filter(is_null).collect::<Vec<_>>()) {
            Some(forms) if forms.len() == 1 => here = forms[0],
            _ => return Some(here),
        }
    }
}

/// What a schema asks for, in words.
fn expected(root: &Value, schema: &Value) -> String {
    let Some(schema) = resolve(root, schema) else {
        return String::new();
    };
    if let Some(forms) = schema.get("anyOf").and_then(Value::as_array) {
        let forms: Vec<String> = forms.iter().map(|form| expected(root, form)).collect();
        return forms.join(" or ");
    }
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", options.join(", "));
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds
            .iter()
            .find_map(|k| k.as_str().filter(|k| *k != "null")),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("array") => match schema.get("items").map(|items| expected(root, items)) {
            Some(items) if items == "a text" => "a list of texts".to_owned(),
            Some(items) if items.starts_with("one of") => items.replacen("one of", "a list of", 1),
            _ => "a list".to_owned(),
        },
        Some("string") => "a text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => "a whole number".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("object") => "a mapping of keys to values".to_owned(),
        _ => "something else".to_owned(),
    }
}

fn expected_types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => expected(&Value::Null, &json!({"type": kind.to_string()})),
        TypeKind::Multiple(_) => "of another type".to_owned(),
    }
}
