//! What goes into a review and what comes out of it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    Enforcement, FileId, Inventory, Meta, Node, Object, ObjectRef, Pointer, PolicyError, Severity,
    Stage, Violation,
};

/// What is judged.
pub enum Subject<'a> {
    /// A request to create, change or delete an object. The linter makes requests to create.
    Review(Review<'a>),
    /// A file that is no manifest.
    File(FileSubject<'a>),
    /// A violation that a loader, a renderer or the accounting of waivers found, to be enforced like
    /// any other.
    Reported(Reported<'a>),
}

/// One request to judge.
#[derive(Clone, Copy)]
pub struct Review<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The object as it would be; none on DELETE.
    pub object: Option<&'a Object>,
    /// The object as it is; none on CREATE.
    pub old_object: Option<&'a Object>,
    /// `status`, `scale`, …; empty for the object itself.
    pub subresource: &'a str,
    /// The full name of who asked; empty offline.
    pub user: &'a str,
    /// Nothing will be stored.
    pub dry_run: bool,
}

impl<'a> Review<'a> {
    /// A request to create an object, as the linter makes it.
    pub fn create(object: &'a Object) -> Review<'a> {
        Review {
            operation: Operation::Create,
            object: Some(object),
            old_object: None,
            subresource: "",
            user: "",
            dry_run: false,
        }
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// An object goes.
    Delete,
    /// A connection to an object, such as `kubectl exec`.
    Connect,
    /// Something that is not known here, and that no policy takes.
    Other,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
            Operation::Other => "OTHER",
        })
    }
}

/// A file that is no manifest, read.
#[derive(Clone, Copy)]
pub struct FileSubject<'a> {
    /// What it is.
    pub kind: FileKind,
    /// Its path relative to the linted folder.
    pub path: &'a str,
    /// What it holds.
    pub content: &'a Node,
}

/// What a file is that is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The definition of a pipeline, such as a GitHub workflow.
    Pipeline,
    /// Variables for an environment, one a line: an object of strings.
    Dotenv,
    /// A Secret in a manifest that nothing deploys.
    Undeployed,
}

/// A violation found outside the policies, which one policy stands for.
pub struct Reported<'a> {
    /// The id of that policy.
    pub policy: &'a str,
    /// The violation.
    pub violation: Violation,
    /// The object that it is about, if it is about one.
    pub object: Option<&'a Object>,
    /// The file that it is about, else.
    pub path: &'a str,
}

/// The id of the policy that stands for what should have been judged and was not.
pub const UNRENDERED: &str = "unrendered";
/// The id of the policy that stands for what lies outside of the repository.
pub const EXTERNAL_SOURCE: &str = "external-source";
/// The id of the policy that stands for what programs read differently.
pub const AMBIGUOUS_SCALAR: &str = "ambiguous-scalar";

/// Where reviews come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// A repository: everything is there at once, as it was written.
    #[default]
    Repository,
    /// An API server: one request after another, defaults filled in.
    Admission,
}

/// What a policy may look at besides its subject.
pub struct World<'a> {
    /// The stage in which the subject is judged.
    pub stage: &'a Stage,
    /// The objects of that stage, or of the cluster. Without them, policies that compare objects do
    /// not run.
    pub inventory: Option<&'a Inventory>,
    /// Where reviews come from.
    pub door: Door,
    /// What files are called, where there are files.
    pub files: Option<&'a dyn FileNames>,
}

/// What files are called.
pub trait FileNames: Sync {
    /// The path of a file relative to the linted folder.
    fn path(&self, file: FileId) -> Option<String>;
}

/// What the door grants to a review. Core has no clock: both come from outside.
#[derive(Clone, Copy, Default)]
pub struct Limits<'a> {
    /// Today in UTC, for waivers that expire.
    pub today: Option<jiff::civil::Date>,
    /// Set from outside when the time is up; policies that have not begun then do not.
    pub stop: Option<&'a AtomicBool>,
    /// The most that may happen, whatever is configured: who asks must not be stopped.
    pub at_most: Option<Enforcement>,
    /// Which policies used up their budget again and again in one run over many objects, and are
    /// asked no more: it would take hours to find the same of every object.
    pub exhaustion: Option<&'a Exhaustion>,
    /// There is more to review than can be: no policy begins.
    pub overloaded: bool,
    /// Who follows the review.
    pub observer: Option<&'a dyn Observer>,
}

/// Follows a review from outside, such as to measure it: core has no clock.
pub trait Observer: Sync {
    /// A policy begins to judge.
    fn begins(&self, policy: &Arc<Meta>, turn: Turn);

    /// A policy has judged, or could not.
    fn ended(&self, policy: &Arc<Meta>, turn: Turn, answer: &Result<Vec<Violation>, PolicyError>);

    /// What a policy answered already in an earlier review of the same subject, which then counts: so
    /// a review that does not come to its end is ended without those that keep it from that.
    fn known(&self, policy: &Meta, turn: Turn) -> Option<Vec<Violation>> {
        let _ = (policy, turn);
        None
    }
}

/// What a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The subject.
    Subject,
    /// The object as it is, where that which is to come would be denied: what was there already is
    /// forgiven.
    Before,
}

/// How often policies used up their budget.
#[derive(Debug, Default)]
pub struct Exhaustion {
    times: Mutex<BTreeMap<String, usize>>,
}

impl Exhaustion {
    /// After so many times a policy is asked no more.
    pub const MOST: usize = 8;

    /// Whether a policy is asked no more.
    pub fn is_spent(&self, policy: &str) -> bool {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(policy).is_some_and(|times| *times >= Self::MOST)
    }

    pub(crate) fn count(&self, policy: &str) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times.entry(policy.to_owned()).or_default() += 1;
    }
}

/// The engine's answer.
#[derive(Debug, Default)]
pub struct Verdict {
    /// No active finding denies, and no policy that would deny failed to judge.
    pub allowed: bool,
    /// Sorted by policy, pointer and key.
    pub findings: Vec<Finding>,
    /// Policies that could not judge, by id.
    pub errors: Vec<PolicyFailure>,
    /// The policies that the object's own annotation may waive and that judged it, and whether
    /// there was something to waive.
    pub annotations: Vec<(String, bool)>,
}

/// A violation with all that is known about it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The policy.
    pub meta: Arc<Meta>,
    /// How bad it is.
    pub severity: Severity,
    /// What happens.
    pub enforcement: Enforcement,
    /// Whether it counts.
    pub status: Status,
    /// What waived it.
    pub waiver: Option<WaivedBy>,
    /// The object; none for a finding about a file.
    pub object: Option<ObjectRef>,
    /// What is wrong where.
    pub violation: Violation,
}

impl Finding {
    /// Whether it counts and denies.
    pub fn denies(&self) -> bool {
        self.status == Status::Active && self.enforcement == Enforcement::Deny
    }
}

/// What waived a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaivedBy {
    /// The waiver at this position in the settings.
    Configuration(usize),
    /// The object's own annotation.
    Annotation,
}

/// A policy that could not judge.
#[derive(Clone, Debug)]
pub struct PolicyFailure {
    /// The policy.
    pub meta: Arc<Meta>,
    /// Why.
    pub error: PolicyError,
    /// What happens.
    pub enforcement: Enforcement,
}

/// Whether a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It counts.
    Active,
    /// Accepted by a waiver.
    Waived,
    /// Known from the baseline.
    Baseline,
}

impl Violation {
    /// A violation about a whole file, which its key tells from others.
    pub fn of_file(key: String, message: String) -> Self {
        Violation {
            pointer: Pointer::root(),
            line: None,
            key,
            message,
            help: None,
            related: Vec::new(),
            at_most: None,
        }
    }
}
