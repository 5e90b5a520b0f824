//! # What it checks
//!
//! No Secret with data stands in Git, and no `.env` file. What passes:
//!
//! - SealedSecret, ExternalSecret and other kinds that hold no data in the clear;
//! - Secrets that SOPS encrypted: a `sops` block, and every value `ENC[…]`. A value that was left
//!   in the clear is told;
//! - Secrets without data, such as those of type `kubernetes.io/service-account-token`.
//!
//! Secrets that a kustomization generates are judged like others, and the finding stands at the
//! generator. Base64 is no encryption.
//!
//! What looks like a credential, by its name or by its value, is told one by one. A Secret or `.env`
//! file with nothing of the kind (placeholders, plain settings) is told once and warns at most.
//! `.env.example` and its relatives are told only for values that have the form of a real token. No
//! message ever holds a value. Secrets in manifests that nothing deploys are in Git, too.
//!
//! At admission this is about who writes, whatever the values look like: only the users in
//! `controllers` may. Release records of Helm and bootstrap tokens pass. There it audits unless
//! `admission: deny` is configured.
//!
//! # Why
//!
//! What is in Git is there for ever, on every laptop and in every fork, and whoever reads the
//! repository has the database.
//!
//! # Parameters
//!
//! - `controllers`: the full names of the users that may write Secrets at admission. No wildcards,
//!   no groups. Default: the accounts of the controller manager, Sealed Secrets, External Secrets and
//!   cert-manager.
//!
//! # How to fix
//!
//! Rotate the credential first: it has been read. Then keep it in a SealedSecret, an ExternalSecret
//! or encrypted by SOPS, and take the file out of Git.
//!
//! # Controls
//!
//! - NSA/CISA Kubernetes Hardening Guide 1.2: Protecting sensitive cloud infrastructure and secrets
//! - CIS Kubernetes Benchmark: 5.4.2

use std::borrow::Cow;

use serde_json::json;
use stagegate_core::{
    Context, Control, Cursor, Door, Enforcement, FileKind, FileSubject, GroupKind, Matches, Meta,
    Node, Object, Policy, PolicyError, Review, Scope, Severity, Subject, Violation,
};

use crate::credentials::{Class, classify, decoded, has_known_form, is_encrypted};

struct PlainSecret(Meta);

static KINDS: [GroupKind; 1] = [GroupKind::new("", "Secret")];

/// Who writes Secrets in a cluster as part of its work.
const CONTROLLERS: [&str; 8] = [
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:legacy-service-account-token-cleaner",
    "system:serviceaccount:kube-system:token-cleaner",
    "system:serviceaccount:kube-system:tokens-controller",
    "system:serviceaccount:sealed-secrets:sealed-secrets-controller",
    "system:serviceaccount:kube-system:sealed-secrets-controller",
    "system:serviceaccount:external-secrets:external-secrets",
    "system:serviceaccount:cert-manager:cert-manager",
];

pub(crate) fn policy() -> impl Policy {
    PlainSecret(Meta {
        severity: Severity::Critical,
        enforcement: Enforcement::Deny,
        admission: Some(Enforcement::Audit),
        scope: Scope::Object,
        matches: Matches::Kinds(Cow::Borrowed(&KINDS)),
        files: Cow::Borrowed(&[FileKind::Dotenv, FileKind::Undeployed]),
        parameters: crate::parameters(json!({
            "controllers": {
                "type": "array",
                "items": {
                    "type": "string",
                    "minLength": 1,
                    // Groups and patterns would let in more than who was meant.
                    "not": {"pattern": "[*?]|^system:(masters|authenticated|unauthenticated|nodes|serviceaccounts(:.*)?)$"},
                },
                "default": CONTROLLERS,
                "description": "full names of the users that may write Secrets at admission",
            },
        })),
        help: Cow::Borrowed(
            "rotate the credential, then keep it in a SealedSecret, an ExternalSecret or encrypted \
             by SOPS",
        ),
        controls: vec![Control::new("CIS Kubernetes Benchmark", "5.4.2")],
        guarded: true,
        ..Meta::native(
            "plain-secret",
            "security",
            "No Secret and no .env file stands in Git in the clear",
            include_str!("plain_secret.rs"),
        )
    })
}

impl Policy for PlainSecret {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(match cx.subject {
            Subject::File(file) if file.kind == FileKind::Dotenv => of_file(file),
            Subject::File(file) if file.kind == FileKind::Undeployed => of_secret(file.content),
            Subject::Review(review) => match (review.object, cx.world.door) {
                (None, _) => Vec::new(),
                (Some(object), Door::Repository) => of_secret(&object.node),
                (Some(object), Door::Admission) => {
                    if passes_at_admission(cx, review, object) {
                        Vec::new()
                    } else {
                        of_writer(review, object)
                    }
                }
            },
            _ => Vec::new(),
        })
    }
}

/// At admission those may write Secrets whose work it is, and so may tools that keep records of
/// their own in them.
fn passes_at_admission(cx: &Context<'_>, review: &Review<'_>, object: &Object) -> bool {
    let kind = object.node.get("type").and_then(Node::as_str);
    let name = object.reference.name.as_str();
    let only_holds = |key: &str| {
        let data = object.node.get("data").map_or(&[][..], Node::entries);
        data.iter().all(|entry| entry.key == key)
    };
    let is_release = kind == Some("helm.sh/release.v1")
        && name.starts_with("sh.helm.release.v1.")
        && only_holds("release");
    let is_bootstrap = kind == Some("bootstrap.kubernetes.io/token")
        && object.reference.namespace.as_deref() == Some("kube-system");
    is_release || is_bootstrap || cx.strings("controllers").any(|user| user == review.user)
}

/// A value of a Secret.
struct Datum {
    key: String,
    class: Class,
    /// Where it stands, without a message.
    at: Violation,
}

/// The values of a Secret, in the order in which the API server keeps them.
fn values(secret: &Node) -> Vec<Datum> {
    let root = Cursor::root(secret);
    let encrypted = secret.path(&["sops", "mac"]).is_some();
    let mut values = Vec::new();
    for (name, is_base64) in [("data", true), ("stringData", false)] {
        let map = root.member(name);
        let mut add = |at: &Cursor<'_>, class: Class| {
            let mut violation = Violation::at(at, String::new());
            violation.key = violation.key.replacen("stringData", "data", 1);
            values.push(Datum {
                key: at.name().to_owned(),
                class,
                at: violation,
            });
        };
        if map.node().is_some_and(|node| node.as_map().is_none()) {
            // Whatever it is meant to be, it stands there.
            add(
                &map,
                Class::Credential("it is no mapping of keys to values"),
            );
        }
        for value in map.members() {
            if let Some(node) = value.node() {
                add(&value, class_of(value.name(), node, is_base64, encrypted));
            }
        }
    }
    values.sort_by(|a, b| a.key.cmp(&b.key));
    values
}

/// More violations of one Secret or file than this tell nobody anything.
const MOST: usize = 50;

/// Cuts a list of violations, and says in the last how many there were.
fn at_most(mut violations: Vec<Violation>) -> Vec<Violation> {
    let more = violations.len().saturating_sub(MOST);
    violations.truncate(MOST);
    if let (Some(last), 1..) = (violations.last_mut(), more) {
        last.message = format!("{}; and so do {more} more", last.message);
    }
    violations
}

fn of_secret(secret: &Node) -> Vec<Violation> {
    let values = values(secret);
    let credentials = values.iter().filter_map(|datum| match datum.class {
        Class::Credential(why) => {
            let mut violation = datum.at.clone();
            violation.message =
                format!("{:?} of this Secret stands in the clear: {why}", datum.key);
            Some(violation)
        }
        _ => None,
    });
    let violations = at_most(credentials.collect());
    if !violations.is_empty() {
        return violations;
    }
    let others: Vec<&Datum> = values.iter().filter(|d| is_data(d.class)).collect();
    let Some(first) = others.first() else {
        return Vec::new();
    };
    // The first value is where a person looks; the identity is the data as a whole.
    let mut violation = first.at.clone();
    violation.key = "data".to_owned();
    violation.message = format!(
        "the data of this Secret stands in the clear ({}): {}",
        listed(others.iter().map(|d| d.key.as_str())),
        described(others.iter().all(|d| d.class != Class::Plain)),
    );
    vec![
        violation.at_most(Enforcement::Warn).help(
            "keep settings in a ConfigMap, and let the pipeline or an ExternalSecret provide \
             what is secret"
                .to_owned(),
        ),
    ]
}

/// At admission every Secret has data, and what counts is who writes it, not what it looks like.
fn of_writer(review: &Review<'_>, object: &Object) -> Vec<Violation> {
    let old = |key: &str| review.old_object.map(|old| old.node.path(&["data", key]));
    let written = values(&object.node).into_iter().filter_map(|datum| {
        if matches!(datum.class, Class::Empty | Class::Encrypted) {
            return None;
        }
        let mut violation = datum.at;
        violation.message = format!(
            "{:?} of this Secret is written by {:?}, who is none of its controllers",
            datum.key, review.user
        );
        violation.help = Some(
            "let Sealed Secrets, External Secrets or SOPS bring it, or name the user in the \
             parameter `controllers`"
                .to_owned(),
        );
        // What was there and was not touched is another violation than what is written now.
        if old(&datum.key).is_some_and(|old| old != object.node.path(&["data", &datum.key])) {
            violation.key.push_str(" changed");
        }
        Some(violation)
    });
    at_most(written.collect())
}

fn class_of(key: &str, value: &Node, is_base64: bool, encrypted: bool) -> Class {
    let Some(text) = value.as_str() else {
        // The API server takes texts only; whatever this is, it is no credential that works.
        return if matches!(value.value, stagegate_core::Value::Null) {
            Class::Empty
        } else {
            Class::Plain
        };
    };
    if encrypted && is_encrypted(text) {
        return Class::Encrypted;
    }
    if is_base64 {
        let text = decoded(text);
        if encrypted && is_encrypted(&text) {
            return Class::Encrypted;
        }
        // A file that SOPS encrypted, in a Secret that is generated from it.
        let is_encrypted_file = text.contains("ENC[AES256_GCM,") && text.contains("sops");
        if is_encrypted_file && text.contains("mac") {
            return Class::Encrypted;
        }
        classify(key, &text)
    } else {
        classify(key, text)
    }
}

fn is_data(class: Class) -> bool {
    matches!(class, Class::Placeholder | Class::Plain)
}

/// What is known of data that holds no credential.
fn described(are_placeholders: bool) -> &'static str {
    if are_placeholders {
        "placeholders"
    } else {
        "nothing looks like a credential"
    }
}

/// `a, b, c and 4 more`
fn listed<'k>(keys: impl Iterator<Item = &'k str>) -> String {
    const MOST: usize = 3;
    let keys: Vec<&str> = keys.collect();
    if keys.len() <= MOST {
        return keys.join(", ");
    }
    let more = keys.len() - MOST;
    format!("{} and {more} more", keys[..MOST].join(", "))
}

/// Names of files that show others what to write.
const EXAMPLES: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "tpl"];

fn of_file(file: &FileSubject<'_>) -> Vec<Violation> {
    let name = file.path.rsplit('/').next().unwrap_or(file.path);
    let is_example = name
        .split(['.', '-', '_'])
        .any(|part| EXAMPLES.contains(&part));
    let is_sops = file.content.get("sops_mac").is_some();
    let root = Cursor::root(file.content);
    let mut violations = Vec::new();
    let mut others = Vec::new();
    for variable in root.members() {
        let key = variable.name();
        let value = variable.node().and_then(Node::as_str).unwrap_or_default();
        if is_sops && (key.starts_with("sops_") || is_encrypted(value)) {
            continue;
        }
        let class = match classify(key, value) {
            _ if is_example && !has_known_form(value) => Class::Empty,
            class => class,
        };
        match class {
            Class::Credential(why) => violations.push(Violation::at(
                &variable,
                format!("{key:?} stands in the clear in a committed file: {why}"),
            )),
            Class::Plain | Class::Placeholder => others.push((key, variable.pointer(), class)),
            Class::Empty | Class::Encrypted => {}
        }
    }
    let mut violations = at_most(violations);
    // Settings in a file that is not named like one for secrets are nobody's concern.
    let is_dotenv = name == ".env" || name.starts_with(".env.");
    if violations.is_empty()
        && is_dotenv
        && let Some((_, first, _)) = others.first()
    {
        let message = format!(
            "a committed {name} file ({}): {}",
            listed(others.iter().map(|(key, _, _)| *key)),
            described(others.iter().all(|(_, _, class)| *class != Class::Plain)),
        );
        let mut violation = Violation::of_file("file".to_owned(), message);
        violation.pointer = first.clone();
        violations.push(
            violation
                .at_most(Enforcement::Warn)
                .help("keep settings in a ConfigMap, and .env files in .gitignore".to_owned()),
        );
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use stagegate_core::{Engine, Limits, Operation, Settings, Stage, Subject, Verdict, World};

    use super::*;

    fn secret(value: serde_json::Value) -> Object {
        let mut value = value;
        value["apiVersion"] = json!("v1");
        value["kind"] = json!("Secret");
        Object::new(serde_json::from_value(value).unwrap(), Arc::default()).unwrap()
    }

    fn judge(new: &Object, old: Option<&Object>, user: &str, door: Door) -> Verdict {
        let own = stagegate_core::PolicySettings {
            admission: Some(Enforcement::Deny),
            ..Default::default()
        };
        let settings = Settings {
            policies: [("plain-secret".to_owned(), own)].into(),
            ..Settings::default()
        };
        let engine = Engine::new(vec![Box::new(policy())], settings).unwrap();
        let review = Review {
            operation: old.map_or(Operation::Create, |_| Operation::Update),
            old_object: old,
            user,
            ..Review::create(new)
        };
        let stage = Stage::default_stage();
        let world = World {
            stage: &stage,
            inventory: None,
            door,
            files: None,
        };
        engine.review(&Subject::Review(review), &world, &Limits::default())
    }

    #[test]
    fn at_admission_only_controllers_write() {
        let old = secret(json!({"metadata": {"name": "a"}, "data": {"password": "aHVudGVyMg=="}}));
        let same = secret(json!({
            "metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"password": "aHVudGVyMg=="}}));
        let other = secret(json!({"metadata": {"name": "a"}, "data": {"password": "b3RoZXI="}}));
        let admit = |new, old, user| judge(new, old, user, Door::Admission).allowed;
        assert!(!admit(&old, None, "jane"));
        assert!(admit(
            &old,
            None,
            "system:serviceaccount:cert-manager:cert-manager"
        ));
        assert!(!admit(
            &old,
            None,
            "system:serviceaccount:other:cert-manager"
        ));
        // A label may be changed by anybody, the data not.
        assert!(admit(&same, Some(&old), "jane"));
        assert!(!admit(&other, Some(&old), "jane"));
        // Whatever it looks like.
        let setting = secret(json!({"metadata": {"name": "a"}, "data": {"creds": "aHVudGVyMg=="}}));
        assert!(!admit(&setting, None, "jane"));
        let placeholder =
            secret(json!({"metadata": {"name": "a"}, "data": {"password": "Y2hhbmdlbWU="}}));
        assert!(!admit(&placeholder, Some(&old), "jane"));
    }

    #[test]
    fn records_of_helm_pass_at_admission_and_nothing_that_only_claims_to_be_one() {
        let release = |name: &str, key: &str| {
            secret(json!({
                "metadata": {"name": name, "namespace": "shop"}, "type": "helm.sh/release.v1",
                "data": {key: "aHVudGVyMg==", "x.password": null},
            }))
        };
        let admit = |object: &Object| judge(object, None, "jane", Door::Admission).allowed;
        assert!(!admit(&release("mine", "password")));
        assert!(!admit(&release("sh.helm.release.v1.shop.v1", "password")));
        let real = secret(json!({
            "metadata": {"name": "sh.helm.release.v1.shop.v1"}, "type": "helm.sh/release.v1",
            "data": {"release": "aHVudGVyMmh1bnRlcjJodW50ZXIy"},
        }));
        assert!(admit(&real));
        let token = |namespace: &str| {
            secret(json!({
                "metadata": {"name": "bootstrap-token-a", "namespace": namespace},
                "type": "bootstrap.kubernetes.io/token", "data": {"token-secret": "aHVudGVyMg=="},
            }))
        };
        assert!(admit(&token("kube-system")));
        assert!(!admit(&token("shop")));
    }

    proptest! {
        /// Whatever the value is and wherever it stands, no word of the answer repeats it.
        #[test]
        fn no_value_is_ever_told(
            value in "[A-Za-z0-9!$%&/()=?+*#;:_.-]{8,40}",
            key in "[a-z]{1,8}([._-](password|token|key|url))?",
            base64 in any::<bool>(),
            sops in any::<bool>(),
            update in any::<bool>(),
        ) {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(&value);
            let mut object = json!({"metadata": {"name": "a", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration":
                    json!({"stringData": {"k": value}}).to_string()}}});
            if base64 {
                object["data"] = json!({key.clone(): encoded});
            } else {
                object["stringData"] = json!({key.clone(): value});
            }
            if sops {
                object["sops"] = json!({"mac": "x"});
            }
            let new = secret(object);
            let old = secret(json!({"metadata": {"name": "a"}, "data": {"password": "aHVudGVyMg=="}}));
            for door in [Door::Repository, Door::Admission] {
                let verdict = judge(&new, update.then_some(&old), "jane", door);
                let told = format!("{:?} {:?}", verdict.findings.iter()
                    .map(|f| (&f.violation, &f.object)).collect::<Vec<_>>(), verdict.errors);
                prop_assert!(!told.contains(&value), "{}", told);
                prop_assert!(!told.contains(&encoded), "{}", told);
            }
        }
    }
}
