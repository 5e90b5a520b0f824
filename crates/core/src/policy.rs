//! What a policy is: its metadata, what it is given, what it answers.

use std::borrow::Cow;
use std::fmt;

use crate::{Cursor, Node, Pointer, Quantity, Settings, Subject, World};

/// A rule. Pure and synchronous: equal input gives equal output, in both doors.
pub trait Policy: Send + Sync {
    /// What the policy is.
    fn meta(&self) -> &Meta;

    /// Judges a subject.
    ///
    /// # Errors
    /// Only for what keeps the policy from judging; what is wrong with the subject is a
    /// [`Violation`].
    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError>;
}

/// A policy's metadata. Documentation, configuration keys and their validation, SARIF rules and
/// the answers of the webhook all come from it.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Kebab-case, unique, stable.
    pub id: Cow<'static, str>,
    /// One line: what must be true.
    pub title: Cow<'static, str>,
    /// The group of policies that it belongs to, such as `workload`.
    pub category: Cow<'static, str>,
    /// How bad a violation is.
    pub severity: Severity,
    /// What happens on a violation, unless configured.
    pub enforcement: Enforcement,
    /// The same in stages of tier production, where it differs.
    pub production: Option<Enforcement>,
    /// Which subjects the policy takes.
    pub scope: Scope,
    /// Which objects the policy takes.
    pub matches: Matches,
    /// What may be configured.
    pub parameters: Cow<'static, [Parameter]>,
    /// How to fix a violation, in one line; a violation may say it better.
    pub help: Cow<'static, str>,
    /// The manual, Markdown with the headings What it checks, Why, Parameters, How to fix and
    /// Controls.
    pub manual: Cow<'static, str>,
    /// The published controls that it implements.
    pub controls: Cow<'static, [Control]>,
    /// Never switched off, neither by choosing single policies nor by an empty seed set: it tells
    /// of what could not be judged at all.
    pub always: bool,
}

impl Meta {
    /// Takes the manual out of a native policy's source: its module documentation.
    pub fn manual_of_source(source: &str) -> String {
        source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n")
    }

    /// What happens on a violation in a stage, before configuration.
    pub fn default_enforcement(&self, tier: crate::Tier) -> Enforcement {
        match (tier, self.production) {
            (crate::Tier::Production, Some(enforcement)) => enforcement,
            _ => self.enforcement,
        }
    }
}

/// A parameter of a policy.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The key in the configuration.
    pub name: &'static str,
    /// What it may hold.
    pub kind: ParameterKind,
    /// What it does, one line.
    pub description: &'static str,
}

/// What a parameter may hold, with its default.
#[derive(Clone, Debug)]
pub enum ParameterKind {
    /// A list of strings.
    Strings(&'static [&'static str]),
    /// `true` or `false`.
    Bool(bool),
}

impl ParameterKind {
    /// What is expected, for messages.
    pub fn expected(&self) -> &'static str {
        match self {
            ParameterKind::Strings(_) => "a list of strings",
            ParameterKind::Bool(_) => "true or false",
        }
    }

    /// Whether a value is of this kind.
    pub fn accepts(&self, node: &Node) -> bool {
        match self {
            ParameterKind::Strings(_) => {
                matches!(node.value, crate::Value::Array(_))
                    && node.items().iter().all(|n| n.as_str().is_some())
            }
            ParameterKind::Bool(_) => node.as_bool().is_some(),
        }
    }
}

/// A control of a published benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The benchmark, such as `NSA/CISA Kubernetes Hardening Guide 1.2`.
    pub source: &'static str,
    /// The control's number or heading in it.
    pub id: &'static str,
}

/// Which objects a policy takes.
#[derive(Clone, Debug)]
pub enum Matches {
    /// Every object.
    All,
    /// Everything that runs containers: [`crate::WORKLOAD_KINDS`].
    Workloads,
    /// These kinds, in any version.
    Kinds(Cow<'static, [GroupKind]>),
    /// No object: the policy tells of files.
    None,
}

/// A kind, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupKind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
}

impl GroupKind {
    /// A kind of a group.
    pub const fn new(group: &'static str, kind: &'static str) -> Self {
        GroupKind { group, kind }
    }
}

/// How bad a violation is. Says nothing about what happens: that is [`Enforcement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Should be fixed.
    Medium,
    /// Must be fixed soon.
    High,
    /// Must be fixed now.
    Critical,
}

/// What happens on a violation. Says nothing about how bad it is: that is [`Severity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// The policy does not run.
    Off,
    /// It is recorded.
    Audit,
    /// It is shown, and lets through.
    Warn,
    /// It is refused.
    Deny,
}

impl Severity {
    /// All, mildest first.
    pub const ALL: [Severity; 4] = [
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
}

impl Enforcement {
    /// All, mildest first.
    pub const ALL: [Enforcement; 4] = [
        Enforcement::Off,
        Enforcement::Audit,
        Enforcement::Warn,
        Enforcement::Deny,
    ];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        })
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Enforcement::Off => "off",
            Enforcement::Audit => "audit",
            Enforcement::Warn => "warn",
            Enforcement::Deny => "deny",
        })
    }
}

/// Which subjects a policy takes, and how much of the world it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One object.
    Object,
    /// An object among its neighbours of one stage.
    Stage,
    /// Several stages.
    Repository,
    /// A file that is no manifest.
    File,
    /// Who asked; at admission only.
    Request,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Object => "object",
            Scope::Stage => "stage",
            Scope::Repository => "repository",
            Scope::File => "file",
            Scope::Request => "request",
        })
    }
}

/// What a policy is given.
pub struct Context<'a> {
    /// What is judged.
    pub subject: &'a Subject<'a>,
    /// What stands around it.
    pub world: &'a World<'a>,
    /// What is configured for all policies.
    pub settings: &'a Settings,
    /// The policy's parameters in this stage: defaults filled in, types checked.
    pub parameters: &'a Node,
}

impl Context<'_> {
    /// A parameter that is a list of strings.
    pub fn strings(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters
            .get(name)
            .map_or(&[][..], Node::items)
            .iter()
            .filter_map(Node::as_str)
    }

    /// A parameter that is true or false.
    pub fn flag(&self, name: &str) -> bool {
        self.parameters
            .get(name)
            .and_then(Node::as_bool)
            .unwrap_or_default()
    }
}

/// A policy's raw "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where it is; may name something absent.
    pub pointer: Pointer,
    /// Its identity: the way with list-map keys instead of indexes, plus the offending value
    /// where a value is judged.
    pub key: String,
    /// What is wrong. Never holds a secret's value.
    pub message: String,
    /// What would be right, where that can be said better than for the policy as a whole.
    pub help: Option<String>,
    /// Other places that matter.
    pub related: Vec<Related>,
}

/// Another place of the same object that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub pointer: Pointer,
    /// Why it matters.
    pub message: String,
}

impl Violation {
    /// A violation about something absent, or about a node whatever its value.
    pub fn at(cursor: &Cursor<'_>, message: String) -> Self {
        Violation {
            pointer: cursor.pointer(),
            key: cursor.key(),
            message,
            help: None,
            related: Vec::new(),
        }
    }

    /// A violation about a value; another bad value in the same place is another violation.
    pub fn of_value(cursor: &Cursor<'_>, value: impl fmt::Display, message: String) -> Self {
        let mut violation = Self::at(cursor, message);
        violation.key = format!("{}={value}", violation.key);
        violation
    }

    /// Says what would be right.
    #[must_use]
    pub fn help(mut self, help: String) -> Self {
        self.help = Some(help);
        self
    }

    /// Names another place of the same object.
    #[must_use]
    pub fn related(mut self, cursor: &Cursor<'_>, message: String) -> Self {
        self.related.push(Related {
            pointer: cursor.pointer(),
            message,
        });
        self
    }
}

/// What kept a policy from judging. Not a finding: nothing is known about the subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The policy panicked: a bug in it.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The policy could not be evaluated.
    #[error("{0}")]
    Failed(String),
    /// The time for the review ran out before the policy's turn.
    #[error("not evaluated: the time for this review ran out")]
    Stopped,
}

/// A value as messages show it: `"500m"` for strings, `2` for numbers.
impl Quantity {
    /// The text of a quantity as it was written.
    pub fn written(node: &Node) -> String {
        match &node.value {
            crate::Value::String(s) => s.to_string(),
            crate::Value::Number(n) => n.to_string(),
            _ => String::new(),
        }
    }
}
