//! Tests of policies: Rego's own, folders of cases, and Gatekeeper's suites.

use std::collections::BTreeSet;
use std::sync::Arc;

use stagegate_core::Policy;
use stagegate_rego::{Folder, PolicyFile, TestOutcome};
use stagegate_render::Tree;
use stagegate_report::{TestCoverage, TestReport, TestResult, TestStatus};
use stagegate_testkit::{Case, Outcome, suites};

use crate::args::{Test, TestFormat};
use crate::engine::{self, files_of};
use crate::error::Error;
use crate::output::to_stdout;

/// Runs the command; gives its exit code.
pub(crate) fn run(test: &Test) -> Result<u8, Error> {
    let tree = Tree::new(&test.path).map_err(|source| Error::Read {
        path: test.path.clone(),
        source,
    })?;
    let files = files_of(&test.path, &tree)?;
    let mut report = TestReport::default();
    rego(&files, &tree, &mut report)?;
    cases(test, &files, &tree, &mut report)?;
    for file in files.iter().filter(|file| is_yaml(&file.path)) {
        let found = suites(&test.path.join(&file.path), &file.source.path);
        report.tests.extend(found.into_iter().map(result));
    }
    if report.tests.is_empty() {
        return Err(Error::Usage(format!(
            "there is no test in {}: no rule test_… in a file …_test.rego, no folder allow-… or \
             deny-…, and no Gatekeeper suite",
            test.path.display()
        )));
    }
    to_stdout(|out| match test.format {
        TestFormat::Text => stagegate_report::tests_text(&report, out),
        TestFormat::Json => stagegate_report::tests_json(&report, out),
        TestFormat::Junit => stagegate_report::tests_junit(&report, out),
    })?;
    Ok(report.exit_code())
}

/// The rules whose names begin with `test_`.
fn rego(files: &[PolicyFile], tree: &Tree, report: &mut TestReport) -> Result<(), Error> {
    let folder = Folder {
        files: rego_or_data(files),
        packages: Vec::new(),
    };
    let tested = stagegate_rego::test(&folder).map_err(|errors| Error::Policies {
        errors,
        sources: Arc::clone(tree.sources()),
    })?;
    for test in tested.tests {
        let at = tree.sources().locate(test.mark);
        let path = at.map_or_else(String::new, |at| format!("{}:{}", at.path, at.line));
        let (status, message) = match test.outcome {
            TestOutcome::Passed => (TestStatus::Passed, String::new()),
            TestOutcome::Failed => (TestStatus::Failed, "it is not true".to_owned()),
            TestOutcome::Erred(error) => (TestStatus::Error, error),
            TestOutcome::Skipped => (TestStatus::Skipped, String::new()),
        };
        report.tests.push(TestResult {
            kind: "rego",
            name: test.name,
            path,
            status,
            message,
            prints: test.prints,
        });
    }
    report.coverage = tested
        .coverage
        .into_iter()
        .map(|module| TestCoverage {
            path: module.path,
            covered: module.covered.len(),
            not_covered: module.not_covered.into_iter().collect(),
        })
        .collect();
    Ok(())
}

/// The files that Rego and its tests stand in, without templates and suites.
fn rego_or_data(files: &[PolicyFile]) -> Vec<PolicyFile> {
    let is_meant = |file: &&PolicyFile| {
        let path = file.path.as_str();
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        name.ends_with(".rego") || matches!(name, "data.yaml" | "data.yml" | "data.json")
    };
    files.iter().filter(is_meant).cloned().collect()
}

/// The folders `<policy>/{allow,deny}-…`, for policies of the folder, those that are brought along,
/// and our own.
fn cases(
    test: &Test,
    files: &[PolicyFile],
    tree: &Tree,
    report: &mut TestReport,
) -> Result<(), Error> {
    let found = Case::all(&test.path).map_err(|e| Error::Usage(e.to_string()))?;
    if found.is_empty() {
        return Ok(());
    }
    let brought = policies(test, files, tree)?;
    // What is tested may be what comes with the program: the file there is the one that is meant.
    let tested: BTreeSet<&str> = brought.iter().map(|policy| &*policy.meta().id).collect();
    let all = || -> Vec<Box<dyn Policy>> {
        let mut all = stagegate_testkit::policies();
        all.retain(|own| !tested.contains(&*own.meta().id));
        let brought = brought.iter().map(Arc::clone);
        all.extend(brought.map(|policy| Box::new(policy) as Box<dyn Policy>));
        all
    };
    let known: BTreeSet<String> = all().iter().map(|p| p.meta().id.to_string()).collect();
    for case in found {
        let outcome = if known.contains(&case.policy) {
            match case.run(&all) {
                Ok(found) => {
                    let wrong = case.wrong(&found);
                    if wrong.is_empty() {
                        Outcome::Passed
                    } else {
                        Outcome::Failed(wrong.join("\n"))
                    }
                }
                Err(error) => Outcome::Erred(error.to_string()),
            }
        } else {
            let help = stagegate_config::suggest(&case.policy, known.iter().map(String::as_str));
            Outcome::Erred(format!("there is no policy {:?}; {help}", case.policy))
        };
        let absolute = case
            .folder
            .canonicalize()
            .unwrap_or_else(|_| case.folder.clone());
        let path = tree.relative(&absolute);
        report.tests.push(result(stagegate_testkit::Test::new(
            "case",
            &case.name(),
            &path,
            outcome,
        )));
    }
    Ok(())
}

/// The policies that the tests bring along.
fn policies(test: &Test, files: &[PolicyFile], tree: &Tree) -> Result<Vec<Arc<dyn Policy>>, Error> {
    let packages = engine::packages(&test.brought.packages, &[]);
    let mut folders = vec![rego_or_data(files)];
    for path in &test.brought.folders {
        folders.push(files_of(path, tree)?);
    }
    let mut all = Vec::new();
    for files in folders {
        let loaded = engine::load(files, &packages, tree.sources())?;
        all.extend(loaded.policies.into_iter().map(|policy| policy.policy));
    }
    Ok(all)
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

fn result(test: stagegate_testkit::Test) -> TestResult {
    let (status, message) = match test.outcome {
        Outcome::Passed => (TestStatus::Passed, String::new()),
        Outcome::Failed(message) => (TestStatus::Failed, message),
        Outcome::Erred(message) => (TestStatus::Error, message),
        Outcome::Skipped => (TestStatus::Skipped, String::new()),
    };
    TestResult {
        kind: test.kind,
        name: test.name,
        path: test.path,
        status,
        message,
        prints: Vec::new(),
    }
}
