use stagegate_core::{Enforcement, Tier};
use stagegate_manifest::{Sources, decode};

use super::*;

fn read(text: &str) -> Result<Config, Vec<String>> {
    let sources = Sources::new();
    let file = sources.add(FILE_NAME.to_owned(), decode(text.into()));
    Config::read(file, &sources.get(file).unwrap()).map_err(|errors| {
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
    let errors = read(
        "apiVersion: v1
kind: Config
kubernetesVersion: 1.30
stage: []
stages:
  - name: dev
    path: [a]
    enforcement: denied
  - paths: [\"[\"]
  - {name: development, paths: []}
policies:
  resource-limits: {enforcment: warn}
waivers: []
",
    )
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "1:13: apiVersion must be stagegate.dev/v1alpha1",
            "3:20: kubernetesVersion must be a version in quotes (for example \"1.34\")",
            "4:1: the configuration has no key `stage` (did you mean `stages`?)",
            "7:5: a stage has no key `path` (did you mean `paths`?)",
            "8:18: enforcement cannot be \"denied\" (did you mean `deny`?)",
            "9:5: a stage needs a name",
            "9:13: not a glob: error parsing glob '[': unclosed character class; missing ']'",
            "10:12: the stage dev is configured twice",
            "12:21: a policy's configuration has no key `enforcment` (did you mean `enforcement`?)",
            "13:1: `waivers` is not supported by this version of stagegate (remove it: what it \
             asks for would not be done)",
        ]
    );
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
