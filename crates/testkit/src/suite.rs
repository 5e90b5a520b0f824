//! Gatekeeper's suites: a template, a constraint, objects, and what is to be said about them.
//!
//! Source: the Gatekeeper documentation, "The gator CLI", `gator verify`.

use std::path::Path;
use std::sync::Arc;

use regex::Regex;
use stagegate_admission::AdmissionRequest;
use stagegate_core::{
    Door, Enforcement, Engine, Inventory, Limits, Node, Object, Origin, Policy, PolicySettings,
    Review, Settings, Stage, Subject, Value, World,
};
use stagegate_manifest::{Format, Profile, Sources, decode, expand_list};
use stagegate_rego::{Folder, PolicyFile};

use crate::outcome::{Outcome, Test};

/// The API group of suites.
const GROUP: &str = "test.gatekeeper.sh";

/// Runs the suites of a file; none where it holds none.
pub fn suites(path: &Path, shown: &str) -> Vec<Test> {
    let Ok(bytes) = std::fs::read(path) else {
        return Vec::new();
    };
    let is_suite = String::from_utf8_lossy(&bytes).contains(GROUP);
    if !is_suite {
        return Vec::new();
    }
    let documents = match documents(path) {
        Ok(documents) => documents,
        Err(error) => return vec![Test::new("suite", shown, shown, Outcome::Erred(error))],
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let suites = documents.iter().filter(|document| {
        let version = text(document, "apiVersion").unwrap_or_default();
        stagegate_core::group_of(version) == GROUP && text(document, "kind") == Some("Suite")
    });
    suites.flat_map(|suite| run(suite, folder, shown)).collect()
}

fn run(suite: &Node, folder: &Path, shown: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    for test in items(suite, "tests") {
        let name = text(test, "name").unwrap_or("(without a name)");
        let say = |case: &str, outcome: Outcome| {
            let name = if case.is_empty() {
                name.to_owned()
            } else {
                format!("{name}/{case}")
            };
            Test::new("suite", &name, shown, outcome)
        };
        if is_true(suite, "skip") || is_true(test, "skip") {
            tests.push(say("", Outcome::Skipped));
            continue;
        }
        let constraint = constraint(test, folder);
        if is_true(test, "invalid") {
            tests.push(say(
                "",
                match constraint {
                    Ok(_) => Outcome::Failed("the constraint is valid".to_owned()),
                    Err(_) => Outcome::Passed,
                },
            ));
            continue;
        }
        let constraint = match constraint {
            Ok(constraint) => constraint,
            Err(error) => {
                tests.push(say("", Outcome::Erred(error)));
                continue;
            }
        };
        let cases = items(test, "cases");
        if cases.is_empty() {
            tests.push(say("", Outcome::Erred("the test has no cases".to_owned())));
        }
        for case in cases {
            let name = text(case, "name").unwrap_or("(without a name)");
            let outcome = if is_true(case, "skip") {
                Outcome::Skipped
            } else {
                self::case(case, folder, &constraint).unwrap_or_else(Outcome::Erred)
            };
            tests.push(say(name, outcome));
        }
    }
    tests
}

/// The template and the constraint of a test.
fn constraint(test: &Node, folder: &Path) -> Result<Arc<dyn Policy>, String> {
    let sources = Sources::new();
    let mut files = Vec::new();
    let mut read_before = None;
    for key in ["template", "constraint"] {
        let path = text(test, key).ok_or_else(|| format!("the test names no {key}"))?;
        // Both may stand in one file.
        if read_before.replace(path) == Some(path) {
            continue;
        }
        let bytes = read(&folder.join(path))?;
        let file = sources.add(path.to_owned(), decode(bytes));
        if let Some(source) = sources.get(file) {
            files.push(PolicyFile {
                path: path.to_owned(),
                file,
                source,
            });
        }
    }
    let folder = Folder {
        files,
        packages: Vec::new(),
    };
    let loaded = stagegate_rego::load(&folder).map_err(|errors| {
        let told = errors.iter().map(|error| match sources.locate(error.mark) {
            Some(at) => format!("{}:{}:{}: {}", at.path, at.line, at.column, error.message),
            None => error.message.clone(),
        });
        told.collect::<Vec<_>>().join("\n")
    })?;
    if let Some(unsupported) = loaded.unsupported.first() {
        return Err(unsupported.message.clone());
    }
    let mut policies = loaded.policies.into_iter();
    match (policies.next(), policies.next()) {
        (Some(policy), None) => Ok(policy.policy),
        (None, _) => Err("there is no constraint in the files of the test".to_owned()),
        _ => Err("there are several constraints in the files of the test".to_owned()),
    }
}

fn case(case: &Node, folder: &Path, constraint: &Arc<dyn Policy>) -> Result<Outcome, String> {
    let path = text(case, "object").ok_or("the case names no object")?;
    let mut subjects = documents(&folder.join(path))?;
    if subjects.len() != 1 {
        return Err(format!("{path} must hold one object"));
    }
    let subject = subjects.remove(0);
    let mut neighbours = Vec::new();
    for path in items(case, "inventory").iter().filter_map(Node::as_str) {
        for document in documents(&folder.join(path))? {
            neighbours.push(Arc::new(object(document, path)?));
        }
    }
    let inventory = Inventory::new(neighbours);
    let id = constraint.meta().id.to_string();
    let mut settings = Settings {
        only: Some(vec![id.clone()]),
        ..Settings::default()
    };
    settings.policies.insert(
        id,
        PolicySettings {
            enforcement: Some(Enforcement::Deny),
            ..PolicySettings::default()
        },
    );
    let policies: Vec<Box<dyn Policy>> = vec![Box::new(Arc::clone(constraint))];
    let engine = Engine::new(policies, settings).map_err(|e| e.to_string())?;
    let stage = Stage::default_stage();
    let world = World {
        stage: &stage,
        inventory: Some(&inventory),
        // What is in the inventory is what the case puts there.
        door: Door::Repository,
        files: None,
    };
    let verdict = if text(&subject, "kind") == Some("AdmissionReview") {
        let body = serde_json::to_vec(&subject).map_err(|e| e.to_string())?;
        let request = AdmissionRequest::decode(&body).map_err(|e| e.to_string())?;
        let subject = Subject::Review(request.review());
        engine.review(&subject, &world, &Limits::default())
    } else {
        let object = object(subject, path)?;
        let subject = Subject::Review(Review::create(&object));
        engine.review(&subject, &world, &Limits::default())
    };
    if let Some(failure) = verdict.errors.first() {
        return Err(failure.error.to_string());
    }
    let findings = verdict.findings.into_iter();
    let messages: Vec<String> = findings.map(|f| f.violation.message).collect();
    let assertions = items(case, "assertions");
    if assertions.is_empty() && !messages.is_empty() {
        let said = messages.join("\n");
        return Ok(Outcome::Failed(format!(
            "no violation was expected:\n{said}"
        )));
    }
    for assertion in assertions {
        if let Some(wrong) = self::assertion(assertion, &messages)? {
            return Ok(Outcome::Failed(wrong));
        }
    }
    Ok(Outcome::Passed)
}

/// What is wrong with the messages, if something is.
fn assertion(assertion: &Node, messages: &[String]) -> Result<Option<String>, String> {
    let pattern = text(assertion, "message");
    let regex = pattern.map(Regex::new).transpose();
    let regex = regex.map_err(|e| format!("the message of an assertion is no pattern: {e}"))?;
    let fits = |message: &&String| regex.as_ref().is_none_or(|regex| regex.is_match(message));
    let found = messages.iter().filter(fits).count();
    let wanted = assertion.get("violations");
    let (is_right, wanted) = match wanted {
        None => (found > 0, "at least one".to_owned()),
        // Plain yes and no are booleans, as they are to gator, which reads both.
        Some(node) => match (&node.value, node.as_i64()) {
            (Value::Bool(true), _) => (found > 0, "at least one".to_owned()),
            (Value::Bool(false), _) => (found == 0, "none".to_owned()),
            (Value::String(s), _) if s == "yes" => (found > 0, "at least one".to_owned()),
            (Value::String(s), _) if s == "no" => (found == 0, "none".to_owned()),
            (_, Some(n)) => (usize::try_from(n) == Ok(found), format!("exactly {n}")),
            _ => return Err("`violations` must be yes, no or a number".to_owned()),
        },
    };
    if is_right {
        return Ok(None);
    }
    let matching = pattern.map_or_else(String::new, |p| format!(" that match {p:?}"));
    let said = if messages.is_empty() {
        "there is none".to_owned()
    } else {
        messages.join("\n")
    };
    Ok(Some(format!(
        "{wanted} violations{matching} were expected, {found} found:\n{said}"
    )))
}

fn object(node: Node, path: &str) -> Result<Object, String> {
    let origin = Arc::new(Origin::default());
    Object::new(node, origin).ok_or_else(|| format!("{path} has no apiVersion and kind"))
}

fn documents(path: &Path) -> Result<Vec<Node>, String> {
    let sources = Sources::new();
    let file = sources.add(path.display().to_string(), decode(read(path)?));
    let Some(source) = sources.get(file) else {
        return Ok(Vec::new());
    };
    let loaded = stagegate_manifest::load(file, &source, Format::Yaml, Profile::Apply);
    if let Some(problem) = loaded.problems.first() {
        let line = source.line_column(problem.mark.start as usize).0;
        return Err(format!("{}:{line}: {}", path.display(), problem.message));
    }
    Ok(loaded.documents.into_iter().flat_map(expand_list).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.as_str()
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map_or(&[][..], Node::items)
}

fn is_true(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_bool) == Some(true)
}
