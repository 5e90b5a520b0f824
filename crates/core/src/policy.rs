//! What a policy is: its metadata, what it is given, what it answers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize as _;

use crate::{
    Cursor, Derived, Entry, Gap, Labels, Map, Mark, Node, Object, ObjectRef, Pointer, Quantity,
    Settings, Str, Subject, Value, World,
};

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

    /// Does on this thread what the first review on it would do before it judges, such as compiling.
    fn prepare(&self) {}

    /// The kinds of objects that it looks at besides its subject, with these parameters. Whoever feeds
    /// an inventory from a cluster watches these.
    fn neighbours(&self, parameters: &Node) -> Vec<KindPattern> {
        let _ = parameters;
        Vec::new()
    }
}

/// A policy that several engines share.
impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn meta(&self) -> &Meta {
        (**self).meta()
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        (**self).review(cx)
    }

    fn prepare(&self) {
        (**self).prepare();
    }

    fn neighbours(&self, parameters: &Node) -> Vec<KindPattern> {
        (**self).neighbours(parameters)
    }
}

/// The parameters of a policy: the `properties` of a JSON Schema, each with its `default` and
/// `description`.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

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
    /// The same under the seed set `strict`, where that is stricter.
    pub strict: Option<Enforcement>,
    /// The most that happens at admission unless configured there, where that is less than offline.
    pub admission: Option<Enforcement>,
    /// Which subjects the policy takes.
    pub scope: Scope,
    /// Which objects the policy takes.
    pub matches: Matches,
    /// Which files it takes that are no manifests.
    pub files: Cow<'static, [crate::FileKind]>,
    /// Which requests it takes besides those that create or change an object itself.
    pub asks: Cow<'static, [Ask]>,
    /// It says nothing at admission: what it asks for is gone when an object gets there.
    pub offline: bool,
    /// What may be configured.
    pub parameters: Parameters,
    /// How to fix a violation, in one line; a violation may say it better.
    pub help: Cow<'static, str>,
    /// The manual, Markdown with the headings What it checks, Why, Parameters, How to fix and
    /// Controls.
    pub manual: Cow<'static, str>,
    /// The published controls that it implements.
    pub controls: Vec<Control>,
    /// Never switched off, neither by choosing single policies nor by an empty seed set: it tells
    /// of what could not be judged at all.
    pub always: bool,
    /// No annotation on an object waives it.
    pub guarded: bool,
    /// It is about a namespace more than about its objects, which are best told together.
    pub by_namespace: bool,
    /// Somebody brought it along, so that it runs under every seed set unless it is configured off.
    pub brought: bool,
    /// A hash of what it is made of, where that is not part of the program.
    pub version: u64,
}

/// A request that is not about an object itself, or that takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is to be done.
    pub operation: crate::Operation,
    /// `scale`, `resize`, …; empty for the object itself.
    pub subresource: &'static str,
}

impl Default for Meta {
    /// The commonest choices: it takes objects of every kind one by one, and warns.
    fn default() -> Self {
        Meta {
            id: Cow::Borrowed(""),
            title: Cow::Borrowed(""),
            category: Cow::Borrowed(""),
            severity: Severity::Medium,
            enforcement: Enforcement::Warn,
            production: None,
            strict: None,
            admission: None,
            scope: Scope::Object,
            matches: Matches::All,
            files: Cow::Borrowed(&[]),
            asks: Cow::Borrowed(&[]),
            offline: false,
            parameters: Parameters::new(),
            help: Cow::Borrowed(""),
            manual: Cow::Borrowed(""),
            controls: Vec::new(),
            always: false,
            guarded: false,
            by_namespace: false,
            brought: false,
            version: 0,
        }
    }
}

impl Meta {
    /// The metadata of a native policy, with the commonest choices: its manual is the documentation
    /// of its source.
    pub fn native(
        id: &'static str,
        category: &'static str,
        title: &'static str,
        source: &str,
    ) -> Meta {
        Meta {
            id: Cow::Borrowed(id),
            title: Cow::Borrowed(title),
            category: Cow::Borrowed(category),
            manual: Cow::Owned(Self::manual_of_source(source)),
            ..Meta::default()
        }
    }

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

    /// The JSON Schema of its parameters.
    pub fn parameter_schema(&self) -> serde_json::Value {
        serde_json::json!({
            "type": "object",
            "properties": self.parameters,
            "additionalProperties": false,
        })
    }

    /// Its parameters where nothing is configured.
    pub fn default_parameters(&self) -> Node {
        let entries = self.parameters.iter().filter_map(|(name, schema)| {
            Some(Entry {
                key: Str::new(name),
                key_mark: Mark::NONE,
                node: Node::deserialize(schema.get("default")?).ok()?,
            })
        });
        Node::unmarked(Value::Object(Map::from_entries(entries.collect())))
    }

    /// The most that happens at admission unless configured there. What a policy compares arrives
    /// one object at a time, in any order: so that only warns.
    pub fn admission_bound(&self) -> Enforcement {
        let bound = if self.scope.compares_objects() {
            Enforcement::Warn
        } else {
            Enforcement::Deny
        };
        self.admission.map_or(bound, |own| own.min(bound))
    }

    /// Whether it takes a request of this operation on this subresource.
    pub fn takes(&self, operation: crate::Operation, subresource: &str) -> bool {
        use crate::Operation::{Create, Update};
        (matches!(operation, Create | Update) && subresource.is_empty())
            || self
                .asks
                .iter()
                .any(|ask| ask.operation == operation && ask.subresource == subresource)
    }
}

/// A control of a published benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The benchmark, such as `NSA/CISA Kubernetes Hardening Guide 1.2`.
    pub source: Cow<'static, str>,
    /// The control's number or heading in it.
    pub id: Cow<'static, str>,
}

impl Control {
    /// A control of a benchmark.
    pub const fn new(source: &'static str, id: &'static str) -> Self {
        Control {
            source: Cow::Borrowed(source),
            id: Cow::Borrowed(id),
        }
    }
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
    /// The kinds that one of these names.
    Patterns(Vec<KindPattern>),
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

/// Names kinds: each part is a name, or none where any will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindPattern {
    /// The API group; empty for the core group.
    pub group: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The kind.
    pub kind: Option<String>,
}

impl KindPattern {
    /// A kind of a group, in any version.
    pub fn of(kind: &GroupKind) -> Self {
        KindPattern::named(kind.group, kind.kind)
    }

    /// The same.
    pub fn named(group: &str, kind: &str) -> Self {
        KindPattern {
            group: Some(group.to_owned()),
            version: None,
            kind: Some(kind.to_owned()),
        }
    }

    /// Whether it names a kind of a group, in some version.
    pub fn names(&self, group: &str, kind: &str) -> bool {
        self.group.as_ref().is_none_or(|g| g == group)
            && self.kind.as_ref().is_none_or(|k| k == kind)
    }

    /// Whether it names the kind of an object.
    pub fn matches(&self, object: &ObjectRef) -> bool {
        let fits = |part: &Option<String>, own: &str| part.as_ref().is_none_or(|p| p == own);
        fits(&self.group, object.group())
            && fits(&self.version, object.version())
            && fits(&self.kind, &object.kind)
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

impl Scope {
    /// Whether its policies look at the neighbours of an object.
    pub fn compares_objects(self) -> bool {
        matches!(self, Scope::Stage | Scope::Repository)
    }
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
    /// Somebody configured what happens on a violation in this stage.
    pub enforcement_is_configured: bool,
    /// What the policy makes of its parameters.
    pub(crate) parameters_derived: &'a Derived,
    /// What policies make of the subject, kept for the others.
    pub(crate) derived: &'a Derived,
    /// The subject of a request, which the neighbours hold in an older form or not at all.
    pub(crate) incoming: Option<&'a Object>,
    /// Who looks.
    pub(crate) policy: &'a dyn Policy,
}

impl<'a> Context<'a> {
    /// The object that is judged, if the subject is a request about one.
    pub fn object(&self) -> Option<&'a Object> {
        match self.subject {
            Subject::Review(review) => review.object,
            _ => None,
        }
    }

    /// The subject of a request, which the neighbours hold in an older form or not at all; none
    /// where the neighbours hold the subject itself, as they do offline.
    pub fn incoming(&self) -> Option<&'a Object> {
        self.incoming
    }

    /// Another form of the subject, made by the first policy that needs it and kept for the others
    /// of this review. One form a type.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.derived.get(make)
    }

    /// Another form of the parameters, made once for all reviews in this stage. One form a type.
    pub fn parameters_as<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.parameters_derived.get(make)
    }

    /// A parameter that is a list of strings.
    pub fn strings(&self, name: &str) -> impl Iterator<Item = &'a str> {
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

    /// A parameter that is a whole number.
    pub fn integer(&self, name: &str) -> i64 {
        self.parameters
            .get(name)
            .and_then(Node::as_i64)
            .unwrap_or_default()
    }

    /// A policy that looks at what it does not declare would find nothing in a cluster.
    fn must_declare(&self, group: &str, kind: &str) {
        debug_assert!(
            self.policy
                .neighbours(self.parameters)
                .iter()
                .any(|pattern| pattern.names(group, kind)),
            "{} does not declare {kind} of the group {group:?} among its neighbours",
            self.policy.meta().id
        );
    }

    /// The objects of a kind, whatever their version, in every namespace. The subject of a request
    /// is among them as it would be.
    pub fn of_kind(&self, group: &str, kind: &str) -> impl Iterator<Item = &'a Object> {
        self.must_declare(group, kind);
        let stored = self.world.inventory.into_iter();
        let stored = stored.flat_map(move |i| i.of_kind(group, kind));
        self.renewed(stored.map(AsRef::as_ref), group, kind, |_| true)
    }

    /// Those of them that share a namespace with an object.
    pub fn beside(
        &self,
        object: &'a Object,
        group: &str,
        kind: &str,
    ) -> impl Iterator<Item = &'a Object> {
        self.must_declare(group, kind);
        let stored = self.world.inventory.into_iter();
        let stored = stored.flat_map(move |i| i.beside(object, group, kind));
        self.renewed(
            stored.map(AsRef::as_ref),
            group,
            kind,
            |incoming: &Object| incoming.shares_namespace(object),
        )
    }

    /// Those of them that may select these labels by the label selector at `path`: whoever asks has
    /// to see whether they do. Without looking at all of them.
    pub fn may_select(
        &self,
        object: &'a Object,
        kind: (&'static str, &'static str),
        path: &'static [&'static str],
        labels: &Labels<'_>,
    ) -> impl Iterator<Item = &'a Object> {
        self.must_declare(kind.0, kind.1);
        let stored = self.world.inventory.map_or_else(Vec::new, |inventory| {
            inventory.may_select(object, kind, path, labels)
        });
        let stored = stored.into_iter().map(AsRef::as_ref);
        self.renewed(stored, kind.0, kind.1, move |incoming: &Object| {
            incoming.shares_namespace(object)
        })
    }

    /// Those of them that hold a text at `path`, such as the name of what they are for.
    pub fn with_text(
        &self,
        object: &'a Object,
        kind: (&'static str, &'static str),
        path: &'static [&'static str],
        text: &'a str,
    ) -> impl Iterator<Item = &'a Object> {
        self.must_declare(kind.0, kind.1);
        let stored = self.world.inventory.into_iter();
        let stored = stored.flat_map(move |i| i.with_text(object, kind, path, text));
        self.renewed(
            stored.map(AsRef::as_ref),
            kind.0,
            kind.1,
            move |incoming: &Object| {
                incoming.shares_namespace(object)
                    && incoming.node.path(path).and_then(Node::as_str) == Some(text)
            },
        )
    }

    /// The objects of a kind with a name, in every namespace.
    pub fn named(
        &self,
        group: &'static str,
        kind: &'static str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Object> {
        self.must_declare(group, kind);
        let stored = self.world.inventory.into_iter();
        let stored = stored.flat_map(move |i| i.named(group, kind, name));
        self.renewed(
            stored.map(AsRef::as_ref),
            group,
            kind,
            move |incoming: &Object| incoming.reference.name == name,
        )
    }

    /// Replaces the stored form of the incoming object by the incoming one.
    fn renewed(
        &self,
        stored: impl Iterator<Item = &'a Object>,
        group: &str,
        kind: &str,
        fits: impl Fn(&Object) -> bool,
    ) -> impl Iterator<Item = &'a Object> {
        let incoming = self
            .incoming
            .filter(|object| object.reference.kind == kind && object.reference.group() == group);
        stored
            .filter(move |object| incoming.is_none_or(|incoming| !object.is_same_as(incoming)))
            .chain(incoming.filter(|object| fits(object)))
    }

    /// Something that could not be looked into and may hold what is missed in an object's
    /// namespace. Then a policy that asks whether something exists knows less than it should: see
    /// [`Violation::in_an_open_world`].
    pub fn gap(&self, object: &Object) -> Option<&'a Gap> {
        let gaps = self.world.inventory.map_or(&[][..], crate::Inventory::gaps);
        gaps.iter().find(|gap| {
            gap.namespace.is_none()
                || object.reference.namespace.is_none()
                || gap.namespace == object.reference.namespace
        })
    }
}

/// A policy's raw "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where it is; may name something absent.
    pub pointer: Pointer,
    /// The line of a text of several lines, from 0.
    pub line: Option<u32>,
    /// Its identity: the way with list-map keys instead of indexes, plus the offending value
    /// where a value is judged.
    pub key: String,
    /// What is wrong. Never holds a secret's value.
    pub message: String,
    /// What would be right, where that can be said better than for the policy as a whole.
    pub help: Option<String>,
    /// Other places that matter.
    pub related: Vec<Related>,
    /// The most that may happen, whatever is configured: less is known than a denial takes.
    pub at_most: Option<Enforcement>,
}

/// Another place that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where, in the same object or in the file of the other.
    pub place: Place,
    /// Why it matters.
    pub message: String,
}

/// A place in the subject, or in another object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the subject.
    Here(Pointer),
    /// Where something of another object was written.
    Elsewhere(Mark),
}

impl Violation {
    /// A violation about something absent, or about a node whatever its value.
    pub fn at(cursor: &Cursor<'_>, message: String) -> Self {
        Violation {
            pointer: cursor.pointer(),
            line: None,
            key: cursor.key(),
            message,
            help: None,
            related: Vec::new(),
            at_most: None,
        }
    }

    /// A violation about a value; another bad value in the same place is another violation.
    pub fn of_value(cursor: &Cursor<'_>, value: impl fmt::Display, message: String) -> Self {
        let mut violation = Self::at(cursor, message);
        violation.key = format!("{}={value}", violation.key);
        violation
    }

    /// A violation at a pointer into an object, as [`Violation::at`] a cursor that was led there,
    /// or as [`Violation::of_value`] where a text, number or boolean stands there.
    pub fn at_pointer(object: &Node, pointer: &Pointer, message: String) -> Self {
        fn descend(
            cursor: &Cursor<'_>,
            segments: &[Cow<'_, str>],
            violation: &mut dyn FnMut(&Cursor<'_>),
        ) {
            let Some((first, rest)) = segments.split_first() else {
                return violation(cursor);
            };
            let is_list = matches!(cursor.node().map(|n| &n.value), Some(Value::Array(_)));
            let item = first.parse::<usize>().ok().filter(|_| is_list);
            match item.and_then(|i| cursor.items().nth(i)) {
                Some(item) => descend(&item, rest, violation),
                None => descend(&cursor.member(first), rest, violation),
            }
        }
        let segments: Vec<Cow<'_, str>> = pointer.segments().collect();
        let mut found = None;
        descend(&Cursor::root(object), &segments, &mut |cursor| {
            let scalar = cursor.node().and_then(crate::cursor::scalar);
            found = Some(match scalar {
                Some(value) => Self::of_value(cursor, value, message.clone()),
                None => Self::at(cursor, message.clone()),
            });
        });
        found.unwrap_or_else(|| Self::at(&Cursor::root(object), message))
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
            place: Place::Here(cursor.pointer()),
            message,
        });
        self
    }

    /// Says in which line of a text it is, from 0.
    #[must_use]
    pub fn in_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// Names a place in another object.
    #[must_use]
    pub fn related_to(mut self, object: &Object, pointer: &Pointer, message: String) -> Self {
        self.related.push(Related {
            place: Place::Elsewhere(object.node.nearest(pointer).mark),
            message,
        });
        self
    }

    /// Bounds what may happen, whatever is configured.
    #[must_use]
    pub fn at_most(mut self, enforcement: Enforcement) -> Self {
        self.at_most = Some(self.at_most.map_or(enforcement, |e| e.min(enforcement)));
        self
    }

    /// Something is missing, but not everything could be looked into: a warning at most, which says
    /// so.
    #[must_use]
    pub fn in_an_open_world(mut self, gap: Option<&Gap>) -> Self {
        if let Some(gap) = gap {
            self.message = format!(
                "{}; it may come from {}, which is not judged here",
                self.message, gap.what
            );
            return self.at_most(Enforcement::Warn);
        }
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
    /// The policy did not come to an end within its budget.
    #[error("{0}")]
    Exhausted(String),
    /// The time for the review ran out before the policy's turn.
    #[error("not evaluated: the time for this review ran out")]
    Stopped,
    /// There was more to review than could be.
    #[error("not evaluated: there are more requests than can be judged")]
    Overloaded,
}

/// A value as messages show it: `"500m"` for strings, `2` for numbers.
impl Quantity {
    /// The text of a quantity as it was written.
    pub fn written(node: &Node) -> String {
        match &node.value {
            Value::String(s) => s.to_string(),
            Value::Number(n) => n.to_string(),
            _ => String::new(),
        }
    }
}
