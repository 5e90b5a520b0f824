use stagegate_core::{Enforcement, Tier};
use stagegate_manifest::{Sources, decode};

use super::*;

fn read(text: &str) -> Result<Config, Vec<String>> {
    let sources = Sources::new();
    let file = sources.add(FILE_NAME.to_owned(), decode(text.into()));
    let policies = stagegate_policies::all();
    let metas = policies.iter().map(|p| p.meta());
    Config::read(file, &sources.get(file).unwrap(), metas).map_err(|errors| {
        errors
            .iter()
            .map(|e| {
                let at = sources.locate(e.mark).unwrap();
                let help = e
                    .help
                    .as_deref()
                    .map(|h| format!(" ({h})"))
                    .unwrap_or_default();
                format!("{}:{}: {}{help}", at.line, at.column, e.message)
            })
            .collect()
    })
}

const HEAD: &str = "apiVersion: stagegate.dev/v1alpha1\nkind: Config\n";

#[test]
fn stages_and_policies_are_read() {
    let config = read(&format!(
        "{HEAD}kubernetesVersion: \"1.31\"
stages:
  - name: production
    after: canary
    paths: [environments/prod]
  - name: canary
    after: staging
    paths: [\"environments/canary-*\"]
  - {{name: staging, paths: [environments/staging], enforcement: warn, tier: production}}
policies:
  resource-limits:
    enforcement: off
    parameters: {{limits: [memory]}}
    stages: {{production: {{enforcement: deny}}}}
"
    ))
    .unwrap();
    let names: Vec<_> = config
        .stages
        .iter()
        .map(|s| s.stage.name.as_str())
        .collect();
    assert_eq!(names, ["staging", "canary", "prod"]);
    assert_eq!(config.stages[0].stage.ceiling, Some(Enforcement::Warn));
    assert_eq!(config.stages[0].stage.tier, Tier::Production);
    assert!(config.stages[1].paths[0].matches("environments/canary-eu/app/a.yaml"));
    assert!(!config.stages[1].paths[0].matches("environments/canary/app/a.yaml"));
    let policy = &config.settings.policies["resource-limits"];
    assert_eq!(policy.enforcement, Some(Enforcement::Off));
    assert_eq!(policy.stages["prod"].enforcement, Some(Enforcement::Deny));
    assert_eq!(config.settings.kubernetes_version.to_string(), "1.31");
}

#[test]
fn every_mistake_has_its_place_and_what_would_be_right() {
    // First what does not fit the schema.
    let errors = read(
        "apiVersion: v1
kind: Config
kubernetesVersion: 1.30
stage: []
extends: recommended
stages:
  - name: dev
    path: [a]
    enforcement: denied
    annotationWaivers: some
  - paths: [a]
policies:
  resource-limit: {enforcement: warn}
  resource-limits:
    enforcment: warn
    parameters: {limits: memory}
    stages: {prod: {parameters: {limit: [memory]}}}
  network-policy: {parameters: {directions: [Ingress, Egres]}}
  prometheus-labels: {parameters: {labels: {release: 1}}}
  plain-secret: {parameters: {controllers: [\"system:masters\", \"a*\"]}}
waivers:
  - {policies: []}
",
    )
    .unwrap_err();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_no_schema_can_say_is_told_with_its_place() {
    let errors = read(&format!(
        "{HEAD}kubernetesVersion: latest
stages:
  - {{name: dev, paths: [\"[\"], annotationWaivers: [image, plain-secret]}}
  - {{name: development}}
  - {{name: prod, after: stagging}}
defaultStage: qa
policies:
  resource-limits: {{stages: {{prod: {{enforcement: warn}}, production: {{enforcement: off}}}}}}
waivers:
  - {{policies: [network-polcy, \"resource-*\"], reason: x, expires: tomorrow}}
  - {{policies: [network-policy], objects: [{{name: \"[\"}}]}}
external:
  - {{apiVersion: v1, kind: Secret}}
policyDirs: policies
"
    ))
    .unwrap_err();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn every_key_is_read() {
    let config = read(&format!(
        "{HEAD}extends: [strict]
stages:
  - name: prod
    paths: [\"environments/prod\"]
    namespaces: [\"*-prod\"]
    namespaceSelector: {{matchLabels: {{stage: prod}}}}
    annotationWaivers: none
policies:
  resource-limits:
    severity: low
    admission: warn
    onError: warn
    onTimeout: deny
    onOverload: warn
    onStale: warn
waivers:
  - policies: [network-policy]
    objects: [{{kind: Deployment, name: \"grafana*\", namespace: observability}}]
    paths: [\"charts/**\"]
    stages: [production]
    reason: upstream chart
    expires: 2027-03-31
clusters: [{{name: eu, server: https://eu, labels: {{a: b}}}}]
external: [{{apiVersion: v1, kind: Secret, name: db, namespace: shop, stages: [live]}}]
defaultStage: live
clusterScopedStage: prod
schemas: [schemas]
selfUrls: [https://example.com/repo]
unrendered: [{{paths: [legacy], reason: by hand}}]
kustomize: [{{paths: [\"clusters/**\"], loadRestrictions: none}}]
restoreWriters: [jane]
rolloutsController: \"system:serviceaccount:rollouts:rollouts\"
policyDirs: [policies]
regoPackages: [main]
"
    ))
    .unwrap();
    let settings = &config.settings;
    assert_eq!(settings.extends, [stagegate_core::SeedSet::Strict]);
    let waiver = &settings.waivers[0];
    assert_eq!(waiver.stages, ["prod"]);
    assert_eq!(waiver.expires.unwrap().to_string(), "2027-03-31");
    assert!(waiver.names_policy("network-policy") && waiver.is_offline_only());
    assert_eq!(settings.stages.default.as_deref(), Some("prod"));
    assert_eq!(settings.stages.cluster_scoped.as_deref(), Some("prod"));
    assert!(settings.stages.stages[0].namespaces[0].matches("shop-prod"));
    assert!(settings.stages.stages[0].selector.is_some());
    let policy = &settings.policies["resource-limits"];
    assert_eq!(policy.severity, Some(stagegate_core::Severity::Low));
    assert_eq!(policy.admission, Some(Enforcement::Warn));
    assert_eq!(policy.on_timeout, Some(Enforcement::Deny));
    let external = &config.external[0];
    assert_eq!(external.object.reference.to_string(), "Secret shop/db");
    assert_eq!(external.stages, ["prod"]);
    assert!(config.unrendered[0].paths[0].matches("legacy/a.yaml"));
    assert!(config.kustomize[0].reads_any_file);
    assert!(config.kustomize[0].paths[0].matches("clusters/eu/kustomization.yaml"));
    assert_eq!(settings.restore_writers, ["jane"]);
}

proptest::proptest! {
    /// Whatever the file holds, it is a configuration or a list of mistakes in their order.
    #[test]
    fn any_text_is_a_configuration_or_mistakes(text in "[a-z:{}\\[\\], \n-]{0,80}") {
        if let Err(errors) = read(&format!("{HEAD}{text}")) {
            proptest::prop_assert!(!errors.is_empty());
        }
    }
}

#[test]
fn circles_and_unreadable_files_are_errors() {
    let circle = format!(
        "{HEAD}stages:\n  - {{name: a, after: b, paths: []}}\n  - {{name: b, after: a, paths: []}}\n"
    );
    assert_eq!(
        read(&circle).unwrap_err(),
        ["5:22: stages come after each other in a circle"]
    );
    assert_eq!(read("a: [").unwrap_err().len(), 1);
    assert_eq!(read("").unwrap_err().len(), 1);
    assert_eq!(read(&format!("{HEAD}policies: 1\n")).unwrap_err().len(), 1);
    assert!(read(HEAD).unwrap().stages.is_empty());
}
