//! What tests of policies came to.

use std::io;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};
use serde::Serialize;

/// What the tests of a folder came to.
#[derive(Debug, Default, Serialize)]
pub struct TestReport {
    /// Every test, in order.
    pub tests: Vec<TestResult>,
    /// Which lines of Rego were evaluated.
    pub coverage: Vec<TestCoverage>,
}

/// A test and what came of it.
#[derive(Debug, Serialize)]
pub struct TestResult {
    /// `case`, `rego` or `suite`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where it stands: a folder, or a file with its line.
    pub path: String,
    /// What came of it.
    pub status: TestStatus,
    /// Why; empty where it passed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prints: Vec<String>,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TestStatus {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// It could not be tried.
    Error,
    /// It is not to be tried.
    Skipped,
}

/// Which lines of a module were evaluated by tests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestCoverage {
    /// The module.
    pub path: String,
    /// How many lines were evaluated.
    pub covered: usize,
    /// The lines that were not, from 1.
    pub not_covered: Vec<u32>,
}

impl TestReport {
    /// How many tests came to this.
    pub fn count(&self, status: TestStatus) -> usize {
        self.tests.iter().filter(|t| t.status == status).count()
    }

    /// 0 where everything passed, 1 where a test failed, 2 where one could not be tried, or where
    /// there is none.
    pub fn exit_code(&self) -> u8 {
        if self.tests.is_empty() || self.count(TestStatus::Error) > 0 {
            2
        } else {
            u8::from(self.count(TestStatus::Failed) > 0)
        }
    }
}

/// Writes the tests as JSON.
///
/// # Errors
/// If `out` cannot be written to.
pub fn tests_json(report: &TestReport, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

/// Writes what did not pass, the coverage, and a summary, for people.
///
/// # Errors
/// If `out` cannot be written to.
pub fn tests_text(report: &TestReport, out: &mut dyn io::Write) -> io::Result<()> {
    for test in &report.tests {
        let word = match test.status {
            TestStatus::Passed | TestStatus::Skipped => continue,
            TestStatus::Failed => "FAILED",
            TestStatus::Error => "ERROR",
        };
        writeln!(out, "{word} {} ({})", test.name, test.path)?;
        for line in test
            .message
            .lines()
            .chain(test.prints.iter().map(String::as_str))
        {
            writeln!(out, "    {}", crate::printable(line))?;
        }
    }
    if !report.coverage.is_empty() {
        writeln!(out, "coverage:")?;
    }
    for module in &report.coverage {
        let all = module.covered + module.not_covered.len();
        let percent = (module.covered * 100).checked_div(all).unwrap_or(100);
        write!(out, "  {percent:>3} %  {}", module.path)?;
        if module.not_covered.is_empty() {
            writeln!(out)?;
        } else {
            writeln!(out, "  not evaluated: {}", ranges(&module.not_covered))?;
        }
    }
    writeln!(
        out,
        "{} passed, {} failed, {} could not be tried, {} skipped",
        report.count(TestStatus::Passed),
        report.count(TestStatus::Failed),
        report.count(TestStatus::Error),
        report.count(TestStatus::Skipped),
    )
}

/// `3-5, 9`
fn ranges(lines: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == line => *last = line,
            _ => parts.push((line, line)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(from, to)| match from == to {
            true => from.to_string(),
            false => format!("{from}-{to}"),
        })
        .collect();
    parts.join(", ")
}

/// Writes the tests in JUnit's XML, a suite for each kind.
///
/// # Errors
/// If `out` cannot be written to.
pub fn tests_junit(report: &TestReport, out: &mut dyn io::Write) -> io::Result<()> {
    let mut junit = Report::new("stagegate test");
    for kind in ["case", "rego", "suite"] {
        let mut suite = TestSuite::new(kind);
        for test in report.tests.iter().filter(|test| test.kind == kind) {
            let non_success = |kind| {
                let mut status = TestCaseStatus::non_success(kind);
                status.set_message(test.message.lines().next().unwrap_or_default());
                status.set_description(test.message.as_str());
                status
            };
            let status = match test.status {
                TestStatus::Passed => TestCaseStatus::success(),
                TestStatus::Failed => non_success(NonSuccessKind::Failure),
                TestStatus::Error => non_success(NonSuccessKind::Error),
                TestStatus::Skipped => TestCaseStatus::skipped(),
            };
            let mut case = TestCase::new(test.name.as_str(), status);
            case.set_classname(test.path.as_str());
            if !test.prints.is_empty() {
                case.set_system_out(XmlString::new(test.prints.join("\n")));
            }
            suite.add_test_case(case);
        }
        if !suite.test_cases.is_empty() {
            junit.add_test_suite(suite);
        }
    }
    let text = junit.to_string().map_err(io::Error::other)?;
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn lines_are_told_in_ranges() {
        assert_eq!(ranges(&[3, 4, 5, 9]), "3-5, 9");
        assert_eq!(ranges(&[]), "");
    }
}
