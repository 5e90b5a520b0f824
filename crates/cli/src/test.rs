//! Tests of policies: Rego's own, folders of cases, and Gatekeeper's suites.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stagegate_core::Policy;
use stagegate_rego::{Folder, PolicyFile, TestOutcome};
use stagegate_render::Tree;
use stagegate_report::{TestCoverage, TestReport, TestResult, TestStatus};
use stagegate_testkit::{Case, Outcome, suites};

use crate::args::{Test, TestFormat};
use crate::engine::{self, Policies, files_of};
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
    for path in suite_files(&test.path) {
        let shown = tree.relative(&path.canonicalize().unwrap_or(path.clone()));
        report
            .tests
            .extend(suites(&path, &shown).into_iter().map(result));
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
        files: files
            .iter()
            .filter(|f| is_rego_or_data(&f.path))
            .map(copy)
            .collect(),
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

fn is_rego_or_data(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.ends_with(".rego") || matches!(name, "data.yaml" | "data.yml" | "data.json")
}

fn copy(file: &PolicyFile) -> PolicyFile {
    PolicyFile {
        path: file.path.clone(),
        file: file.file,
        source: Arc::clone(&file.source),
    }
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
    let own = Policies::own();
    let known: BTreeSet<String> = own
        .metas()
        .map(|meta| meta.id.to_string())
        .chain(brought.iter().map(|policy| policy.meta().id.to_string()))
        .collect();
    let all = || -> Vec<Box<dyn Policy>> {
        let mut all = stagegate_testkit::policies();
        let is_new =
            |policy: &&Arc<dyn Policy>| !all.iter().any(|own| own.meta().id == policy.meta().id);
        // What is tested may be what comes with the program: the file there is the one that is meant.
        let (new, same): (Vec<_>, Vec<_>) = brought.iter().partition(is_new);
        all.retain(|own| !same.iter().any(|policy| policy.meta().id == own.meta().id));
        let tested = new.into_iter().chain(same);
        all.extend(tested.map(|policy| Box::new(Arc::clone(policy)) as Box<dyn Policy>));
        all
    };
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
    let mut packages = test.brought.packages.clone();
    if packages.is_empty() {
        packages.push("main".to_owned());
    }
    let own = files.iter().filter(|f| is_rego_or_data(&f.path)).map(copy);
    let mut folders = vec![own.collect::<Vec<_>>()];
    for path in &test.brought.folders {
        folders.push(files_of(path, tree)?);
    }
    let mut all = Vec::new();
    for files in folders {
        let folder = Folder {
            files,
            packages: packages.clone(),
        };
        let loaded = stagegate_rego::load(&folder).map_err(|errors| Error::Policies {
            errors,
            sources: Arc::clone(tree.sources()),
        })?;
        for notice in &loaded.notices {
            engine::tell_notice(notice, tree.sources());
        }
        all.extend(loaded.policies.into_iter().map(|policy| policy.policy));
    }
    Ok(all)
}

/// The YAML files in which suites may stand, sorted.
fn suite_files(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut visited = BTreeSet::new();
    // What cannot be read was told when the folder was read.
    let _ = engine::collect(folder, &mut paths, &mut visited);
    paths.retain(|path| {
        let extension = path.extension().and_then(|e| e.to_str());
        matches!(extension, Some("yaml" | "yml"))
    });
    paths.sort();
    paths
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
