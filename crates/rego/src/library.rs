//! The functions of `policies/lib/workload.rego`, natively.
//!
//! The library is Rego for who reads it and for who tests with OPA; where policies are evaluated, these
//! stand in for it, because an interpreter takes a hundred times as long to cut an image's name
//! into its parts. A test holds each against its original.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use regorus::{Engine, Value};

use crate::builtins;
use crate::convert::field;
use crate::module::{self, Module};

/// The package of the library, below `data`.
const PACKAGE: [&str; 3] = ["stagegate", "lib", "workload"];

type Function = fn(&[Value]) -> Result<Option<Value>>;

/// Name, number of arguments, function. None is undefined.
pub(crate) const FUNCTIONS: &[(&str, u8, Function)] = &[
    ("at", 4, |a| match a {
        [review, list, i, name] => Ok(pointer(review).map(|pointer| {
            Value::from(format!(
                "{pointer}/{}/{}/{}",
                shown(list),
                shown(i),
                shown(name)
            ))
        })),
        _ => wrong(),
    }),
    ("containers", 1, |a| one(a, |pod| Some(containers(pod)))),
    ("image_full_name", 1, |a| {
        one_text(a, |reference| {
            let tagless = tagless(reference);
            let rest = &reference[tagless.len()..];
            Some(Value::from(domain(tagless) + rest))
        })
    }),
    ("image_matches", 2, |a| match a {
        [Value::String(image), patterns] => matches(image, patterns),
        _ => wrong(),
    }),
    ("image_name", 1, |a| {
        one_text(a, |reference| Some(Value::from(domain(tagless(reference)))))
    }),
    ("image_tag", 1, |a| {
        one_text(a, |reference| {
            let is_pinned = reference.contains('@');
            let tag = match tag(reference) {
                "" => "latest",
                tag => tag,
            };
            (!is_pinned).then(|| Value::from(tag))
        })
    }),
    ("is_set", 1, |a| {
        one(a, |value| {
            let is_empty = matches!(value, Value::String(text) if text.is_empty());
            (!is_empty && *value != Value::Null).then_some(Value::Bool(true))
        })
    }),
    ("labels", 1, |a| one(a, |review| labels(review).cloned())),
    ("matches_any", 2, |a| match a {
        [Value::String(text), patterns] => matches_any(text, patterns),
        _ => wrong(),
    }),
    ("name", 1, |a| {
        one(a, |item| match field(item, "name") {
            Some(name @ Value::String(_)) => Some(name.clone()),
            _ => Some(Value::from("")),
        })
    }),
    ("pointer", 1, |a| {
        one(a, |review| pointer(review).map(Value::from))
    }),
    ("resource_amounts", 2, |a| match a {
        [pod, Value::String(resource)] => Ok(Some(resource_amounts(pod, resource))),
        // What is no name is the key of nothing.
        [_, _] => Ok(Some(Value::new_array())),
        _ => wrong(),
    }),
    ("spec", 1, |a| one(a, |review| spec(review).cloned())),
    ("type", 2, |a| match a {
        [Value::String(list), container] => Ok(kind(list, container).map(Value::from)),
        _ => Ok(None),
    }),
];

/// Whether a module is the library that comes with the program: one that somebody brought along under
/// its name is evaluated as it is.
pub(crate) fn is_native(module: &Module) -> bool {
    module.package == PACKAGE && module.place.file.0 == u32::MAX
}

/// Gives the functions to an engine, under the names that these modules call them by: the interpreter
/// knows imports only of what is Rego.
pub(crate) fn add<'m>(
    engine: &mut Engine,
    modules: impl Iterator<Item = &'m Module>,
) -> Result<()> {
    let mut names: BTreeSet<(String, usize)> = BTreeSet::new();
    let mut name = |before: &[String], function: usize| {
        let path = before
            .iter()
            .map(String::as_str)
            .chain([FUNCTIONS[function].0]);
        names.insert((path.collect::<Vec<_>>().join("."), function));
    };
    let whole: Vec<String> = ["data"]
        .iter()
        .chain(&PACKAGE)
        .map(|s| (*s).to_owned())
        .collect();
    let imports = modules.flat_map(|module| module::imports(&module.ast));
    let imports: Vec<(String, Vec<String>)> = imports.collect();
    for function in 0..FUNCTIONS.len() {
        name(&whole, function);
        for (alias, path) in &imports {
            // The package, or what it lies in.
            if let Some(rest) = whole.strip_prefix(path.as_slice()) {
                name(&[std::slice::from_ref(alias), rest].concat(), function);
            }
        }
    }
    for (alias, path) in imports {
        let function = path.strip_prefix(whole.as_slice());
        let function = FUNCTIONS
            .iter()
            .position(|(own, ..)| function == Some(&[(*own).to_owned()]));
        names.extend(function.map(|function| (alias, function)));
    }
    for (path, function) in names {
        let (name, arity, function) = FUNCTIONS[function];
        let call = move |arguments: Vec<Value>| -> Result<Value> {
            let value = function(&arguments)?.unwrap_or(Value::Undefined);
            builtins::produced(name, &value)?;
            Ok(value)
        };
        engine.add_extension(path, arity, Box::new(call))?;
    }
    Ok(())
}

fn wrong() -> Result<Option<Value>> {
    bail!("an argument of a wrong type")
}

fn one(arguments: &[Value], function: impl Fn(&Value) -> Option<Value>) -> Result<Option<Value>> {
    Ok(arguments.first().and_then(function))
}

fn one_text(
    arguments: &[Value],
    function: impl Fn(&str) -> Option<Value>,
) -> Result<Option<Value>> {
    match arguments {
        [Value::String(text)] => Ok(function(text)),
        _ => wrong(),
    }
}

/// As `%s` and `%v` show it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    }
}

fn path<'v>(value: &'v Value, steps: &[&str]) -> Option<&'v Value> {
    steps
        .iter()
        .try_fold(value, |value, step| field(value, step))
}

fn group_and_kind(review: &Value) -> (Option<&str>, Option<&str>) {
    let text = |key: &str| match path(review, &["kind", key]) {
        Some(Value::String(text)) => Some(text.as_ref()),
        _ => None,
    };
    (text("group"), text("kind"))
}

fn spec(review: &Value) -> Option<&Value> {
    let steps: &[&str] = match group_and_kind(review) {
        (Some(""), Some("ReplicationController"))
        | (Some("apps"), Some("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"))
        | (Some("extensions"), Some("Deployment" | "DaemonSet" | "ReplicaSet"))
        | (Some("batch"), Some("Job"))
        | (Some("argoproj.io"), Some("Rollout")) => &["object", "spec", "template", "spec"],
        (Some(""), Some("Pod")) => &["object", "spec"],
        (Some("batch"), Some("CronJob")) => {
            &["object", "spec", "jobTemplate", "spec", "template", "spec"]
        }
        _ => return None,
    };
    path(review, steps)
}

fn labels(review: &Value) -> Option<&Value> {
    let of_template = ["object", "spec", "template", "metadata", "labels"];
    match group_and_kind(review).1 {
        // What is not there is looked for in the next place.
        Some("Pod") => path(review, &["object", "metadata", "labels"]),
        Some("CronJob") => {
            let steps = [
                "object",
                "spec",
                "jobTemplate",
                "spec",
                "template",
                "metadata",
                "labels",
            ];
            path(review, &steps)
        }
        _ => None,
    }
    .or_else(|| path(review, &of_template))
}

fn pointer(review: &Value) -> Option<&'static str> {
    Some(match group_and_kind(review).1 {
        Some("Pod") => "/spec",
        Some("CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    })
}

/// The items of a list, or whatever stands in its place, with their keys.
fn items<'v>(holder: &'v Value, list: &str) -> Vec<(Value, &'v Value)> {
    match field(holder, list) {
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            items.map(|(i, item)| (Value::from(i), item)).collect()
        }
        Some(Value::Object(items)) => {
            let items = items.iter_sorted();
            items.map(|(key, item)| (key.clone(), item)).collect()
        }
        _ => Vec::new(),
    }
}

fn containers(pod: &Value) -> Value {
    let mut found = Vec::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (i, container) in items(pod, list) {
            found.push(Value::from(vec![Value::from(list), i, container.clone()]));
        }
    }
    Value::from(found)
}

fn resource_amounts(pod: &Value, resource: &str) -> Value {
    let mut found = Vec::new();
    for list in ["containers", "initContainers"] {
        for (_, container) in items(pod, list) {
            for way in ["limits", "requests"] {
                found.extend(path(container, &["resources", way, resource]).cloned());
            }
        }
    }
    Value::from(found)
}

fn kind(list: &str, container: &Value) -> Option<&'static str> {
    Some(match list {
        "containers" => "container",
        "ephemeralContainers" => "ephemeral",
        "initContainers" => match field(container, "restartPolicy") {
            Some(Value::String(policy)) if policy.as_ref() == "Always" => "sidecar",
            _ => "init",
        },
        _ => return None,
    })
}

/// The tag of a name; empty where there is none.
fn tag(tagged: &str) -> &str {
    match tagged.rsplit_once(':') {
        Some((_, last)) if !last.contains('/') => last,
        _ => "",
    }
}

/// An image reference without tag and digest.
fn tagless(reference: &str) -> &str {
    let tagged = reference.split('@').next().unwrap_or_default();
    let tag = tag(tagged);
    let name = &tagged[..tagged.len() - tag.len()];
    match name.strip_suffix(':') {
        Some(without) => without,
        None if tag.is_empty() => name,
        None => tagged,
    }
}

/// The name with its registry, as Docker fills it in.
fn domain(tagless: &str) -> String {
    let steps: Vec<&str> = tagless.split('/').collect();
    let first = steps.first().copied().unwrap_or_default();
    let is_docker = matches!(first, "docker.io" | "index.docker.io");
    if steps.len() > 1 && is_registry(first) && !is_docker {
        tagless.to_owned()
    } else if steps.len() == 1 {
        format!("docker.io/library/{tagless}")
    } else if !is_registry(first) {
        format!("docker.io/{tagless}")
    } else if let [_, name] = steps.as_slice() {
        format!("docker.io/library/{name}")
    } else {
        let rest = tagless.strip_prefix("index.").unwrap_or(tagless);
        let rest = rest.strip_prefix("docker.io/").unwrap_or(rest);
        format!("docker.io/{rest}")
    }
}

fn is_registry(step: &str) -> bool {
    step.contains('.')
        || step.contains(':')
        || step == "localhost"
        || step.chars().any(char::is_uppercase)
}

/// Whether one of the patterns is the image, or what it lies in.
fn matches(image: &str, patterns: &Value) -> Result<Option<Value>> {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    any(patterns, |pattern| {
        Ok(image.strip_prefix(pattern).is_some_and(is_below)
            || (pattern.contains('*')
                && (globs(&format!("{pattern}/**"), image)? || globs(pattern, image)?)))
    })
}

/// Whether one of the patterns is the text.
fn matches_any(text: &str, patterns: &Value) -> Result<Option<Value>> {
    any(patterns, |pattern| {
        Ok(pattern == text || (pattern.contains('*') && globs(pattern, text)?))
    })
}

/// True where one of the patterns fits, and undefined else.
fn any(patterns: &Value, fits: impl Fn(&str) -> Result<bool>) -> Result<Option<Value>> {
    let patterns: Vec<&Value> = match patterns {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter_sorted().collect(),
        Value::Object(fields) => fields.iter_sorted().map(|(_, value)| value).collect(),
        _ => bail!("patterns must be a list"),
    };
    for pattern in patterns {
        let Value::String(pattern) = pattern else {
            bail!("a pattern must be a text");
        };
        if fits(pattern)? {
            return Ok(Some(Value::Bool(true)));
        }
    }
    Ok(None)
}

fn globs(pattern: &str, text: &str) -> Result<bool> {
    let delimiters = Value::from(vec![Value::from("/")]);
    let arguments = [Value::from(pattern), delimiters, Value::from(text)];
    Ok(crate::opa::glob_match(&arguments)? == Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;
    use stagegate_core::FileId;
    use stagegate_manifest::{Sources, decode};

    use super::*;
    use crate::evaluate::Program;
    use crate::module::{At, Dialect, Place};
    use crate::text::Purpose;

    const LIBRARY: &str = include_str!("../../../policies/lib/workload.rego");

    /// A program that calls each function with the input, once with the library as it is written.
    fn programs() -> [Program; 2] {
        let calls: String = FUNCTIONS
            .iter()
            .map(|(name, arity, _)| {
                let arguments: Vec<String> = (0..*arity).map(|i| format!("input[{i}]")).collect();
                format!("r_{name} := workload.{name}({})\n", arguments.join(", "))
            })
            .collect();
        let text =
            format!("package t\nimport rego.v1\nimport data.stagegate.lib.workload\n{calls}");
        let module = |name: &str, text: &str, file: u32| {
            let sources = Sources::new();
            let id = sources.add(name.to_owned(), decode(text.as_bytes().to_vec()));
            let place = Place {
                file: FileId(file),
                source: sources.get(id).unwrap(),
                at: At::Whole,
            };
            let text = text.to_owned();
            Arc::new(
                Module::parse(name.to_owned(), place, text, Purpose::Policy, Dialect::V1).unwrap(),
            )
        };
        [0, u32::MAX].map(|file| {
            let modules = vec![
                module("t.rego", &text, 0),
                module("lib.rego", LIBRARY, file),
            ];
            Program::new(modules, Value::Undefined)
        })
    }

    #[track_caller]
    fn same(programs: &[Program; 2], name: &str, arguments: serde_json::Value) {
        let ask = |program: &Program| {
            let answer = program.evaluate(&format!("data.t.r_{name}"), arguments.clone().into());
            // What is wrong is said in other words.
            answer.map_err(|_| ())
        };
        assert_eq!(ask(&programs[0]), ask(&programs[1]), "{name} {arguments}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn names_of_images_are_cut_alike(
            image in "(docker\\.io|index\\.docker\\.io|[aA.:]{1,3}|localhost)?(/[a-c.:@é]{0,3}){0,3}",
            pattern in "[a-c./*]{0,6}",
        ) {
            thread_local! {
                static PROGRAMS: [Program; 2] = programs();
            }
            PROGRAMS.with(|programs| {
                for name in ["image_name", "image_full_name", "image_tag"] {
                    same(programs, name, json!([image]));
                }
                same(programs, "image_matches", json!([image, [pattern, "ghcr.io/*"]]));
                same(programs, "matches_any", json!([image, [pattern, "a*"]]));
            });
        }
    }

    #[test]
    fn everything_else_is_found_alike() {
        let programs = programs();
        let pod = json!({"containers": [{"name": "a"}], "initContainers": [{"restartPolicy": "Always"}, 5],
                         "ephemeralContainers": {"x": null}});
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
        let mut reviews = vec![json!({}), json!(null), json!({"kind": {"kind": 5}})];
        for (group, kind) in [
            ("", "Pod"),
            ("", "ReplicationController"),
            ("apps", "Deployment"),
            ("apps", "StatefulSet"),
            ("apps", "DaemonSet"),
            ("apps", "ReplicaSet"),
            ("extensions", "Deployment"),
            ("batch", "Job"),
            ("extensions", "StatefulSet"),
            ("batch", "CronJob"),
            ("argoproj.io", "Rollout"),
            ("x", "Pod"),
            ("x", "CronJob"),
            ("", "Service"),
        ] {
            for object in [
                json!({"metadata": {"labels": {"own": "x"}}, "spec": pod}),
                json!({"spec": {"template": template}}),
                json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}),
                json!({"spec": 5}),
            ] {
                reviews.push(json!({"kind": {"group": group, "kind": kind}, "object": object}));
            }
        }
        for review in &reviews {
            for name in ["spec", "labels", "pointer"] {
                same(&programs, name, json!([review]));
            }
            same(&programs, "at", json!([review, "containers", 1, "image"]));
        }
        for value in [
            json!(null),
            json!(""),
            json!("x"),
            json!(0),
            json!({"name": "n"}),
            json!({"name": 1}),
            pod,
        ] {
            for name in ["is_set", "name", "containers"] {
                same(&programs, name, json!([value]));
            }
            let holder = json!({"resources": {"limits": {"gpu": 1}, "requests": value}});
            for pod in [
                json!({"containers": [holder, value], "initContainers": {"a": holder}}),
                value.clone(),
            ] {
                same(&programs, "resource_amounts", json!([pod, "gpu"]));
                same(&programs, "resource_amounts", json!([pod, 5]));
            }
            for list in [
                "containers",
                "initContainers",
                "ephemeralContainers",
                "others",
            ] {
                same(&programs, "type", json!([list, {"restartPolicy": value}]));
                same(&programs, "type", json!([list, value]));
            }
        }
        same(
            &programs,
            "type",
            json!(["initContainers", {"restartPolicy": "Always"}]),
        );
    }
}
