//! Accepted findings: what the configuration or an annotation waives.

use jiff::civil::Date;

use crate::{Mark, NameGlob, Object, ObjectRef, PathGlob, Pointer, Stage};

/// The annotation that waives policies for an object: their ids, with commas between them.
pub const WAIVE_ANNOTATION: &str = "stagegate.dev/waive";
/// The annotation that says why.
pub const REASON_ANNOTATION: &str = "stagegate.dev/reason";

/// The id of the policy that tells of waivers that waive nothing.
pub const WAIVER_UNUSED: &str = "waiver-unused";
/// The id of the policy that tells of waivers whose time is over.
pub const WAIVER_EXPIRED: &str = "waiver-expired";
/// The id of the policy that tells of waivers that do not say why.
pub const WAIVER_WITHOUT_REASON: &str = "waiver-without-reason";

/// An accepted finding, from the configuration. Everything that is given must fit.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// Where it stands.
    pub mark: Mark,
    /// Globs of the ids of policies.
    pub policies: Vec<NameGlob>,
    /// Which objects; any where none is given.
    pub objects: Vec<ObjectPattern>,
    /// Where the finding stands, relative to the linted folder; anywhere where none is given. Holds
    /// offline only: at admission nothing has a path.
    pub paths: Vec<PathGlob>,
    /// Which stages; any where none is given.
    pub stages: Vec<String>,
    /// Why. A waiver without a reason waives nothing.
    pub reason: Option<String>,
    /// The last day on which it holds, in UTC.
    pub expires: Option<Date>,
}

/// Which objects a waiver means. Everything that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct ObjectPattern {
    /// Group and version.
    pub api_version: Option<NameGlob>,
    /// Kind.
    pub kind: Option<NameGlob>,
    /// Namespace; `default` fits objects that name none.
    pub namespace: Option<NameGlob>,
    /// Name.
    pub name: Option<NameGlob>,
}

impl ObjectPattern {
    /// Whether an object is meant.
    pub fn matches(&self, object: &ObjectRef) -> bool {
        let fits =
            |glob: &Option<NameGlob>, text: &str| glob.as_ref().is_none_or(|g| g.matches(text));
        fits(&self.api_version, &object.api_version)
            && fits(&self.kind, &object.kind)
            && fits(
                &self.namespace,
                object.namespace.as_deref().unwrap_or("default"),
            )
            && fits(&self.name, &object.name)
    }
}

/// What a waiver is asked about.
pub(crate) struct Asked<'a> {
    pub(crate) policy: &'a str,
    pub(crate) object: Option<&'a ObjectRef>,
    pub(crate) stage: &'a Stage,
    pub(crate) path: &'a dyn Fn() -> Option<String>,
}

impl Waiver {
    /// What tells it from others: all that it says, without its place.
    pub fn identity(&self) -> String {
        let named = format!("{:?} {:?}", self.policies, self.objects);
        let paths: Vec<&str> = self.paths.iter().map(|p| p.pattern.as_str()).collect();
        format!(
            "{named} {} {} {} {}",
            paths.join(" "),
            self.stages.join(" "),
            self.reason.as_deref().unwrap_or_default(),
            self.expires
                .map(|date| date.to_string())
                .unwrap_or_default(),
        )
    }

    /// Whether its last day is over.
    pub fn is_expired(&self, today: Option<Date>) -> bool {
        matches!((self.expires, today), (Some(last), Some(today)) if today > last)
    }

    /// Whether it can waive anything at all.
    pub fn is_in_force(&self, today: Option<Date>) -> bool {
        self.reason.is_some() && !self.is_expired(today)
    }

    /// Whether it holds offline only.
    pub fn is_offline_only(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether it names a policy.
    pub fn names_policy(&self, id: &str) -> bool {
        self.policies.iter().any(|glob| glob.matches(id))
    }

    /// Whether it means a finding.
    pub(crate) fn matches(&self, asked: &Asked<'_>) -> bool {
        let stage = || self.stages.is_empty() || self.stages.contains(&asked.stage.name);
        let object = || {
            self.objects.is_empty()
                || asked
                    .object
                    .is_some_and(|object| self.objects.iter().any(|p| p.matches(object)))
        };
        // The path last: it has to be looked up.
        let path = || {
            self.paths.is_empty()
                || (asked.path)().is_some_and(|path| self.paths.iter().any(|g| g.matches(&path)))
        };
        self.names_policy(asked.policy) && stage() && object() && path()
    }
}

/// What an object's annotation waives.
pub(crate) struct Annotation<'a> {
    /// The ids in it.
    pub(crate) ids: Vec<&'a str>,
    /// Whether it says why.
    pub(crate) has_reason: bool,
}

impl<'a> Annotation<'a> {
    /// Reads an object's annotation, if it has one.
    pub(crate) fn of(object: &'a Object) -> Option<Annotation<'a>> {
        let text = object.annotation(WAIVE_ANNOTATION)?;
        let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
        Some(Annotation {
            ids: ids.collect(),
            has_reason: object
                .annotation(REASON_ANNOTATION)
                .is_some_and(|reason| !reason.trim().is_empty()),
        })
    }
}

/// Where the annotation that waives stands in an object.
pub fn waive_pointer() -> Pointer {
    Pointer::root()
        .join("metadata")
        .join("annotations")
        .join(WAIVE_ANNOTATION)
}
