//! What came of a test of policies.

/// A test, of whatever kind.
#[derive(Debug)]
pub struct Test {
    /// `case`, `rego` or `suite`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The file or folder that it stands in.
    pub path: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Passed,
    /// It is not, and why.
    Failed(String),
    /// It could not be tried, and why.
    Erred(String),
    /// It is not to be tried.
    Skipped,
}

impl Test {
    /// A test with what came of it.
    pub fn new(kind: &'static str, name: &str, path: &str, outcome: Outcome) -> Test {
        Test {
            kind,
            name: name.to_owned(),
            path: path.to_owned(),
            outcome,
        }
    }
}
