//! Rego's own tests: rules whose names begin with `test_`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::Value;
use stagegate_core::Mark;

use crate::evaluate::Program;
use crate::folder::{Folder, Loading, is_test};
use crate::module::{Module, rule_name};
use crate::text::Purpose;
use crate::{LoadError, check};

/// What a folder's tests came to.
#[derive(Debug, Default)]
pub struct Tested {
    /// Every test, in the order of files and lines.
    pub tests: Vec<RegoTest>,
    /// Which lines of the modules that are no tests were evaluated.
    pub coverage: Vec<ModuleCoverage>,
}

/// A test.
#[derive(Debug)]
pub struct RegoTest {
    /// `data.stagegate.replicas_test.test_one_is_too_few`
    pub name: String,
    /// Where it stands.
    pub mark: Mark,
    /// What came of it.
    pub outcome: TestOutcome,
    /// What it printed.
    pub prints: Vec<String>,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// It is true.
    Passed,
    /// It is undefined or false.
    Failed,
    /// It could not be evaluated.
    Erred(String),
    /// Its name says that it is not to be: `todo_test_…`.
    Skipped,
}

/// Which lines of a module were evaluated, from 1.
#[derive(Debug)]
pub struct ModuleCoverage {
    /// The module's path.
    pub path: String,
    /// Lines that were evaluated.
    pub covered: BTreeSet<u32>,
    /// Lines that were not.
    pub not_covered: BTreeSet<u32>,
}

/// Runs the tests of a folder. Without any, there is nothing in the answer.
///
/// # Errors
/// What is wrong with its modules.
pub fn test(folder: &Folder) -> Result<Tested, Vec<LoadError>> {
    let loading = Loading::read(folder, Purpose::Test);
    let is_tested = loading.modules.iter().any(|(path, _)| is_test(path));
    if !is_tested {
        return Ok(Tested::default());
    }
    let mut errors = loading.errors;
    let modules: Vec<Arc<Module>> = loading.modules.iter().map(|(_, m)| Arc::clone(m)).collect();
    let all: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
    errors.extend(check::check(&all));
    let program = Program::new(modules.clone(), loading.data);
    if errors.is_empty()
        && let Err(error) = program.compile()
    {
        errors.push(error);
    }
    if !errors.is_empty() {
        errors.sort_by_key(|e| e.mark);
        return Err(errors);
    }
    let mut tested = Tested::default();
    let mut lines = Lines::new();
    for (i, (path, module)) in loading.modules.iter().enumerate() {
        if !is_test(path) {
            continue;
        }
        for (definition, rule) in module.ast.policy.iter().enumerate() {
            let Some(name) = rule_name(rule) else {
                continue;
            };
            let name = name.join(".");
            let is_todo = name.starts_with("todo_test_");
            if !is_todo && !name.starts_with("test_") {
                continue;
            }
            let mark = module.mark(rule.span());
            let full = format!("{}.{name}", module.package_path());
            let (outcome, prints) = if is_todo {
                (TestOutcome::Skipped, Vec::new())
            } else {
                run(&program, i, definition, &name, &mut lines)
            };
            tested.tests.push(RegoTest {
                name: full,
                mark: Mark::new(mark.file, mark.start, mark.start),
                outcome,
                prints,
            });
        }
    }
    // What comes with the program is not the folder's to cover.
    let counted: BTreeSet<&str> = folder
        .files
        .iter()
        .filter(|file| !is_test(&file.path))
        .map(|file| file.source.path.as_str())
        .collect();
    tested.coverage = lines
        .into_iter()
        .filter(|(path, _)| counted.contains(path.as_str()))
        .map(|(path, (covered, seen))| ModuleCoverage {
            not_covered: seen.difference(&covered).copied().collect(),
            path,
            covered,
        })
        .collect();
    Ok(tested)
}

/// By module: lines that were evaluated, and all that can be.
type Lines = BTreeMap<String, (BTreeSet<u32>, BTreeSet<u32>)>;

fn run(
    program: &Program,
    module: usize,
    definition: usize,
    name: &str,
    lines: &mut Lines,
) -> (TestOutcome, Vec<String>) {
    let answer = program.trial(module, definition, name);
    for file in answer.coverage {
        let (covered, seen) = lines.entry(file.path).or_default();
        covered.extend(&file.covered);
        seen.extend(&file.covered);
        seen.extend(&file.not_covered);
    }
    let outcome = match answer.value {
        Ok(Value::Bool(true)) => TestOutcome::Passed,
        Ok(_) => TestOutcome::Failed,
        Err(error) => TestOutcome::Erred(error.to_string()),
    };
    (outcome, answer.prints)
}
