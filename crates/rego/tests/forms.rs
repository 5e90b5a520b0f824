//! The three forms, as engines see them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use serde_json::{Value, json};
use stagegate_core::{
    Door, Enforcement, Engine, Inventory, Limits, Meta, Object, Origin, Policy, Review, SeedSet,
    Settings, Stage, Subject, World,
};
use stagegate_manifest::{Sources, decode};
use stagegate_rego::{Folder, Loaded, PolicyFile, load};

fn folder(files: &[(&str, &str)]) -> (Folder, Sources) {
    let sources = Sources::new();
    let files = files
        .iter()
        .map(|(path, text)| {
            let file = sources.add((*path).to_owned(), decode(text.as_bytes().to_vec()));
            PolicyFile {
                path: (*path).to_owned(),
                file,
                source: sources.get(file).unwrap(),
            }
        })
        .collect();
    let packages = vec!["main".to_owned()];
    (Folder { files, packages }, sources)
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    let (folder, sources) = folder(files);
    load(&folder).unwrap_or_else(|errors| panic!("{}", told(&errors, &sources)))
}

fn errors(files: &[(&str, &str)]) -> String {
    let (folder, sources) = folder(files);
    match load(&folder) {
        Ok(_) => panic!("nothing is wrong"),
        Err(errors) => told(&errors, &sources),
    }
}

fn told(errors: &[stagegate_rego::LoadError], sources: &Sources) -> String {
    let lines = errors.iter().map(|error| {
        let at = sources.locate(error.mark).unwrap();
        format!("{}:{}:{}: {}", at.path, at.line, at.column, error.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn object(json: Value) -> Arc<Object> {
    let node = serde_json::from_value(json).unwrap();
    Arc::new(Object::new(node, Arc::new(Origin::default())).unwrap())
}

/// What is said about the first object, with the others around it: `enforcement policy pointer: message`.
fn judged(files: &[(&str, &str)], objects: &[Value]) -> Vec<String> {
    let policies = loaded(files).policies.into_iter();
    let policies: Vec<Box<dyn Policy>> = policies
        .map(|policy| Box::new(policy.policy) as Box<dyn Policy>)
        .collect();
    let settings = Settings {
        extends: vec![SeedSet::None],
        ..Settings::default()
    };
    let engine = Engine::new(policies, settings).unwrap();
    let objects: Vec<Arc<Object>> = objects.iter().cloned().map(object).collect();
    let subject = Arc::clone(&objects[0]);
    let inventory = Inventory::new(objects);
    let stage = Stage::default_stage();
    let world = World {
        stage: &stage,
        inventory: Some(&inventory),
        door: Door::Repository,
        files: None,
    };
    let review = Subject::Review(Review::create(&subject));
    let verdict = engine.review(&review, &world, &Limits::default());
    let errors = verdict
        .errors
        .iter()
        .map(|e| format!("error {}: {}", e.meta.id, e.error));
    let findings = verdict.findings.iter().map(|f| {
        let v = &f.violation;
        format!(
            "{} {} {}: {}",
            f.enforcement, f.meta.id, v.pointer, v.message
        )
    });
    errors.chain(findings).collect()
}

fn metas(files: &[(&str, &str)]) -> Vec<Meta> {
    let policies = loaded(files).policies.into_iter();
    policies
        .map(|policy| policy.policy.meta().clone())
        .collect()
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}})
}

const TEMPLATE: &str = r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: always}
spec:
  crd: {spec: {names: {kind: Always}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package always

        violation[{"msg": msg}] { msg := sprintf("no: %v", [input.parameters]) }
"#;

/// Whether a constraint with this `match` holds for an object.
fn holds(criteria: &str, objects: &[Value]) -> bool {
    let constraint = format!(
        "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Always\nmetadata: {{name: always}}\n\
         spec: {{match: {criteria}}}\n"
    );
    !judged(&[("t.yaml", TEMPLATE), ("c.yaml", &constraint)], objects).is_empty()
}

#[test]
fn a_constraint_holds_where_its_match_says() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"tier": "front"}}});
    let labelled = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop", "labels": {"app": "api"}}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "admin"}});
    let all = [labelled, namespace.clone()];
    for criteria in [
        "{}",
        "{kinds: [{apiGroups: [\"\"], kinds: [Pod]}]}",
        "{kinds: [{apiGroups: [\"*\"], kinds: [Service, Pod]}]}",
        "{kinds: [{kinds: [\"*\"]}]}",
        "{scope: Namespaced}",
        "{scope: \"*\"}",
        "{namespaces: [\"sh*\"]}",
        "{namespaces: [other, \"*op\"]}",
        "{excludedNamespaces: [\"kube-*\"]}",
        "{name: \"a*\"}",
        "{labelSelector: {matchLabels: {app: api}}}",
        "{labelSelector: {matchExpressions: [{key: app, operator: Exists}]}}",
        "{namespaceSelector: {matchLabels: {tier: front}}}",
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}",
        "{source: Original}",
    ] {
        assert!(holds(criteria, &all), "{criteria}");
    }
    for criteria in [
        "{kinds: [{apiGroups: [apps], kinds: [Pod]}]}",
        "{kinds: [{apiGroups: [\"\"], kinds: [Service]}]}",
        "{scope: Cluster}",
        "{namespaces: [other]}",
        "{excludedNamespaces: [\"*\"]}",
        "{excludedNamespaces: [shop]}",
        "{name: b}",
        "{labelSelector: {matchLabels: {app: web}}}",
        "{namespaceSelector: {matchLabels: {tier: back}}}",
    ] {
        assert!(!holds(criteria, &all), "{criteria}");
    }
    // A Namespace is matched by its own name and labels; what is in none, by no namespace at all.
    let own = [namespace];
    assert!(holds(
        "{namespaces: [shop], namespaceSelector: {matchLabels: {tier: front}}}",
        &own
    ));
    assert!(holds("{scope: Cluster}", &own));
    assert!(!holds("{excludedNamespaces: [shop]}", &own));
    let role = [role];
    assert!(holds(
        "{namespaces: [shop], excludedNamespaces: [\"*\"], scope: Cluster}",
        &role
    ));
    assert!(holds("{namespaceSelector: {matchLabels: {a: b}}}", &role));
    assert!(!holds("{scope: Namespaced}", &role));
}

#[test]
fn enforcement_actions_are_enforcements_at_their_doors() {
    let of = |spec: &str| {
        let constraint = format!(
            "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Always\nmetadata: {{name: always}}\n\
             spec: {spec}\n"
        );
        let meta = metas(&[("t.yaml", TEMPLATE), ("c.yaml", &constraint)]).remove(0);
        (meta.enforcement, meta.admission)
    };
    use Enforcement::{Audit, Deny, Off, Warn};
    assert_eq!(of("{}"), (Deny, None));
    assert_eq!(of("{enforcementAction: warn}"), (Warn, None));
    assert_eq!(of("{enforcementAction: dryrun}"), (Audit, None));
    let scoped = |actions: &str| {
        of(&format!(
            "{{enforcementAction: scoped, scopedEnforcementActions: {actions}}}"
        ))
    };
    let both = "[{action: deny, enforcementPoints: [{name: gator.gatekeeper.sh}]}, \
                 {action: warn, enforcementPoints: [{name: validation.gatekeeper.sh}]}]";
    assert_eq!(scoped(both), (Deny, Some(Warn)));
    assert_eq!(
        scoped("[{action: warn, enforcementPoints: [{name: \"*\"}]}]"),
        (Warn, None)
    );
    let audited = "[{action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}]";
    assert_eq!(scoped(audited), (Audit, Some(Off)));
}

#[test]
fn parameters_of_a_constraint_get_the_defaults_of_its_template() {
    let template = TEMPLATE.replace(
        "names: {kind: Always}",
        "names: {kind: Always}, validation: {openAPIV3Schema: {type: object, properties: \
         {a: {type: integer, default: 1}, list: {type: array, items: {type: object, properties: \
         {b: {type: string, default: x}}}}}}}",
    );
    let constraint = "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Always\n\
                      metadata: {name: always}\nspec: {parameters: {list: [{c: 1}]}}\n";
    assert_eq!(
        judged(
            &[("t.yaml", &template), ("c.yaml", constraint)],
            &[pod("p")]
        ),
        ["deny always : no: {\"a\": 1, \"list\": [{\"b\": \"x\", \"c\": 1}]}"]
    );
    let wrong = constraint.replace("[{c: 1}]", "x");
    let error = errors(&[("t.yaml", &template), ("c.yaml", &wrong)]);
    assert!(
        error.starts_with("c.yaml:4:27: the parameters do not fit the template"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_gatekeepers_files_is_told_with_its_place() {
    let constraint = |kind: &str| {
        format!(
            "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: {kind}\nmetadata: {{name: x}}\n"
        )
    };
    for (files, expected) in [
        (
            vec![
                ("t.yaml", TEMPLATE.to_owned()),
                ("c.yaml", constraint("Alway")),
            ],
            "c.yaml:2:7: there is no ConstraintTemplate whose constraints are of kind Alway",
        ),
        (
            vec![("t.yaml", TEMPLATE.replace("sprintf(", "nosuch("))],
            "t.yaml:12:42: there is no function nosuch",
        ),
        (
            vec![("t.yaml", TEMPLATE.replace("{ msg :=", "{{ msg :="))],
            "t.yaml:12:",
        ),
        (
            vec![("t.yaml", TEMPLATE.replace("violation[", "deny["))],
            "t.yaml:9:13: the template has no rule `violation`",
        ),
        (
            vec![
                ("t.yaml", TEMPLATE.to_owned()),
                ("u.yaml", TEMPLATE.to_owned()),
            ],
            "u.yaml:6:30: a second ConstraintTemplate of the kind Always",
        ),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
        let error = errors(&files);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn conftest_rules_of_one_package_are_told_apart_by_their_files() {
    let files = [
        (
            "a.rego",
            "package main\nimport rego.v1\ndeny contains \"a\" if helper\nhelper if input.kind == \"Pod\"\n",
        ),
        (
            "b.rego",
            "package main\ndeny[msg] { helper; msg := \"b\" }\nwarn_b[{\"msg\": \"w\"}] { true }\n",
        ),
        (
            "c.rego",
            "package main\nimport rego.v1\nwarn contains \"c\"\n",
        ),
    ];
    assert_eq!(
        judged(&files, &[pod("p")]),
        ["deny a : a", "deny b : b", "warn b : w", "warn c : c"]
    );
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}});
    assert_eq!(judged(&files, &[service]), ["warn b : w", "warn c : c"]);
}

#[test]
fn exceptions_are_conftests() {
    let files = [(
        "a.rego",
        "package main\nimport rego.v1\ndeny_root contains \"root\"\ndeny contains \"plain\"\n\
         violation_x contains {\"msg\": \"x\"}\n\
         exception contains rules if { input.metadata.name == \"excused\"; rules := [\"root\", \"\"] }\n",
    )];
    assert_eq!(
        judged(&files, &[pod("p")]),
        ["deny a : plain", "deny a : root", "deny a : x"]
    );
    assert_eq!(judged(&files, &[pod("excused")]), ["deny a : x"]);
}

#[test]
fn packages_that_are_not_named_are_told() {
    let loaded = loaded(&[(
        "x.rego",
        "package other\nimport rego.v1\ndeny contains \"a\"\n",
    )]);
    assert!(loaded.policies.is_empty());
    assert!(loaded.notices[0].message.contains("the package other"));
}

const OWN: &str = "# METADATA\n# title: t\n# custom:\n#   scope: stage\n#   matches: [/v1/Pod]\n\
                   package stagegate.x\n\n";

#[test]
fn neighbours_are_found_through_the_inventory_and_the_index() {
    let text = format!(
        "{OWN}violation contains {{\"msg\": msg, \"pointer\": \"/metadata/name\", \"related\": [{{\"object\": {{\
         \"kind\": \"Service\", \"name\": \"s\"}}, \"pointer\": \"/metadata\", \"message\": \"here\"}}]}} if {{\n\
         some name, _ in data.inventory.namespace.shop.v1.Service\n\
         count(data.index.by_kind.Pod.shop) == 2\n\
         data.index.by_name.Service.shop.s[0].metadata.name == name\n\
         msg := sprintf(\"%s %s\", [name, concat(\",\", object.keys(data.inventory.cluster.v1.Namespace))])\n}}\n"
    );
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let objects = [pod("p"), pod("q"), service, namespace];
    assert_eq!(
        judged(&[("x.rego", &text)], &objects),
        ["deny x /metadata/name: s shop"]
    );
}

#[test]
fn metadata_says_what_a_policy_is() {
    let text = "# METADATA\n# title: Pods are named\n# description: |\n#   # What it checks\n#   Names.\n# custom:\n\
                #   severity: critical\n#   enforcement: warn\n#   production: deny\n#   matches: [Workload, \"*/v1/Secret\"]\n\
                #   parameters:\n#     names: {type: array, items: {type: string}, default: [a]}\n\
                #   controls: [{source: CIS, id: \"5.1\"}]\npackage stagegate.names\n\nimport rego.v1\n\n\
                violation contains {\"msg\": n} if some n in input.parameters.names\n";
    let meta = metas(&[("custom/names.rego", text)]).remove(0);
    assert_eq!(
        (&*meta.id, &*meta.category, &*meta.title),
        ("names", "custom", "Pods are named")
    );
    assert_eq!(meta.production, Some(Enforcement::Deny));
    assert_eq!(meta.manual, "# What it checks\nNames.\n");
    assert!(meta.brought && meta.version != 0);
    assert_eq!(
        judged(&[("custom/names.rego", text)], &[pod("p")]),
        ["warn names : a"]
    );
    for (before, after, expected) in [
        ("# title: Pods are named\n", "", "custom/names.rego:2:"),
        (
            "severity: critical",
            "severity: bad",
            "custom/names.rego:7:15: `severity` has no such value",
        ),
        (
            "enforcement: warn",
            "enforcment: warn",
            "custom/names.rego:8:5: METADATA's `custom` has no key `enforcment`",
        ),
        (
            "Workload,",
            "pods,",
            "custom/names.rego:10:15: a kind is written group/version/Kind",
        ),
        (
            "default: [a]",
            "default: 1",
            "custom/names.rego:12:14: the default of the parameter \"names\" does not fit",
        ),
        (
            "type: array",
            "type: arra",
            "custom/names.rego:12:14: the schema of the parameter \"names\" is none",
        ),
        (
            "violation contains",
            "violations contains",
            "custom/names.rego:14:1: a policy under `stagegate.` has a rule",
        ),
        (
            "some n in input",
            "some n in data.inventory",
            "custom/names.rego:7:5: the policy looks at data.inventory",
        ),
        (
            "# METADATA\n",
            "# METADAT\n",
            "custom/names.rego:14:1: a policy under `stagegate.` has a METADATA block",
        ),
        ("# custom:\n", "# custom: [\n", "custom/names.rego:"),
    ] {
        assert!(text.contains(before));
        let error = errors(&[("custom/names.rego", &text.replace(before, after))]);
        assert!(error.starts_with(expected), "{after}: {error}");
    }
}

#[test]
fn an_answer_that_is_none_is_an_error_with_the_policys_name() {
    let of = |rule: &str| {
        let text = format!("# METADATA\n# title: t\npackage stagegate.x\nimport rego.v1\n{rule}\n");
        judged(&[("x.rego", &text)], &[pod("p")]).join("; ")
    };
    for (rule, expected) in [
        (
            "violation := true",
            "error x: `violation` must be a set of violations, and is true",
        ),
        (
            "violation contains 1",
            "error x: `violation`: a violation must be a text or an object",
        ),
        (
            "violation contains {\"message\": \"m\"}",
            "error x: `violation`: a violation has no `msg`",
        ),
        (
            "violation contains {\"msg\": 1}",
            "error x: `violation`: `msg` must be a text, and is a number",
        ),
        (
            "violation contains {\"msg\": \"m\", \"pointer\": \"spec\"}",
            "error x: `violation`: `pointer` must be",
        ),
        (
            "violation contains {\"msg\": to_number(\"x\")}",
            "error x: to_number: the text is no number (x.rego:5)",
        ),
    ] {
        let said = of(rule);
        assert!(said.starts_with(expected), "{rule}: {said}");
    }
    // An array will do, and so does nothing.
    assert_eq!(of("violation := [{\"msg\": \"m\"}]"), "deny x : m");
    assert_eq!(of("violation := [] if input.nothing"), "");
}

#[test]
fn data_files_stand_where_their_folders_stand() {
    let policy = "# METADATA\n# title: t\npackage stagegate.x\nimport rego.v1\nimport data.teams\n\
                  violation contains {\"msg\": m} if m := concat(\" \", [data.root, teams.names[0]])\n";
    let files = [
        ("x.rego", policy),
        ("data.yaml", "root: r\n"),
        ("teams/data.json", "{\"names\": [\"a\"]}"),
    ];
    assert_eq!(judged(&files, &[pod("p")]), ["deny x : r a"]);
    let clash = [
        ("x.rego", policy),
        ("data.yaml", "root: r\n"),
        ("data.json", "{\"root\": 1}"),
    ];
    assert!(errors(&clash).contains("two data files give one key different values"));
}

#[test]
fn a_file_that_asks_for_kinds_takes_no_others() {
    let of = |text: &str| match metas(&[("a.rego", text)]).remove(0).matches {
        stagegate_core::Matches::Patterns(patterns) => patterns
            .into_iter()
            .filter_map(|pattern| pattern.kind)
            .collect(),
        _ => vec!["*".to_owned()],
    };
    let two = "package main\ndeny[m] { input.kind == \"Pod\"; m := 1 } { m := 2; \"Job\" = input.kind }\n";
    assert_eq!(of(two), ["Job", "Pod"]);
    for open in [
        "package main\ndeny[m] { input.kind == \"Pod\"; m := 1 } { m := 2 }\n",
        "package main\ndeny[m] { not input.kind == \"Pod\"; m := 1 }\n",
        "package main\ndeny[m] { input.kind == \"Pod\" with input as {}; m := 1 }\n",
        "package main\ndeny[m] { input.kind == \"Pod\"; m := 1 }\nwarn[\"x\"]\n",
    ] {
        assert_eq!(of(open), ["*"], "{open}");
    }
}

#[test]
fn a_secrets_values_are_not_said() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"},
        "data": {"password": "aHVudGVyMg=="}, "stringData": {"token": "correct-horse"}});
    let text = "package main\nimport rego.v1\n\
                deny contains sprintf(\"%v\", [input]) if true\n\
                deny contains base64.decode(input.data.password) if true\n";
    let said = judged(&[("a.rego", text)], std::slice::from_ref(&secret)).join(" ");
    let fails = "package main\nimport rego.v1\ndeny contains \"x\" if to_number(input.stringData.token) > count(input.data.password, 1)\n";
    let fails = fails.replace(", 1)", ")");
    let failed = judged(&[("a.rego", &fails)], std::slice::from_ref(&secret)).join(" ");
    let neighbour = format!(
        "{OWN}violation contains {{\"msg\": sprintf(\"%v\", [data.inventory.namespace.shop])}}\n"
    );
    let beside = judged(&[("x.rego", &neighbour)], &[pod("p"), secret]).join(" ");
    for value in ["aHVudGVyMg==", "hunter2", "correct-horse"] {
        for text in [&said, &failed, &beside] {
            assert!(!text.contains(value), "{text}");
        }
    }
    assert!(
        said.contains("********") && beside.contains("password"),
        "{said} {beside}"
    );
}

#[test]
fn what_is_known_to_differ_from_opa_is_told() {
    let of = |rule: &str| {
        let text = format!(
            "package main\nimport rego.v1\ndeny contains \"x\" if {{ {rule} }}\nf({{\"a\": x}}) := 1 if x\n"
        );
        let (folder, sources) = folder(&[("a.rego", &text)]);
        let notices = load(&folder)
            .unwrap_or_else(|e| panic!("{}", told(&e, &sources)))
            .notices;
        told(&notices, &sources)
    };
    let function = "a.rego:4:3: an object pattern matches objects with more keys";
    assert!(of("true").starts_with(function), "{}", of("true"));
    for rule in [
        "{\"a\": x} = input.b; x",
        "some {\"a\": x} in input.b; x",
        "[1, {\"a\": x}] = input.b; x",
    ] {
        assert_eq!(of(rule).matches("object pattern").count(), 2, "{rule}");
    }
    for rule in ["input.x + 0.1 == 0.3", "input.x == 12345678901234567890"] {
        assert!(of(rule).contains("floating-point"), "{rule}");
    }
    for rule in [
        "input.x == 0.5",
        "input.x == {\"a\": 1}",
        "input.x + 1 == 2",
        "x := {\"a\": 1}; x.a",
    ] {
        assert_eq!(of(rule).lines().count(), 1, "{rule}: {}", of(rule));
    }
}
