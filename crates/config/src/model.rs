//! The form of `stagegate.yaml`. The JSON Schema of the file is derived from these types; their
//! documentation is what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The configuration of Stagegate, for the linter and the admission webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "stagegate.yaml")]
pub(crate) struct File {
    /// The version of this form.
    #[serde(rename = "apiVersion")]
    pub(crate) _api_version: ApiVersion,
    /// Always `Config`.
    #[serde(rename = "kind")]
    pub(crate) _kind: Kind,
    /// What applies where nothing is configured; of several sets the strictest. Default:
    /// `[recommended]`.
    pub(crate) extends: Option<Vec<SeedSet>>,
    /// The target version of Kubernetes, in quotes. Default: "1.34".
    pub(crate) kubernetes_version: Option<String>,
    /// The stages. Without them the layout of the repository decides.
    #[serde(default)]
    pub(crate) stages: Vec<Stage>,
    /// Policies by id.
    #[serde(default)]
    pub(crate) policies: BTreeMap<String, Policy>,
    /// Accepted findings.
    #[serde(default)]
    pub(crate) waivers: Vec<Waiver>,
    /// Clusters that ApplicationSets generate from.
    #[serde(default, rename = "clusters")]
    pub(crate) _clusters: Vec<Cluster>,
    /// Objects that live elsewhere, for policies that ask whether they exist.
    #[serde(default)]
    pub(crate) external: Vec<External>,
    /// The stage of namespaces that no stage names. Default: the strictest stage, which then warns
    /// at most.
    pub(crate) default_stage: Option<String>,
    /// The stage of objects that are in no namespace. Default: the last in the order of promotion.
    pub(crate) cluster_scoped_stage: Option<String>,
    /// Folders with policies in Rego, relative to this file.
    #[serde(default, rename = "policyDirs")]
    pub(crate) _policy_dirs: Vec<String>,
    /// The packages of policies in conftest's form. Default: `main`.
    #[serde(default, rename = "regoPackages")]
    pub(crate) _rego_packages: Vec<String>,
    /// Folders and files with JSON Schemas of custom resources.
    #[serde(default, rename = "schemas")]
    pub(crate) _schemas: Vec<String>,
    /// URLs under which this very repository is known.
    #[serde(default)]
    pub(crate) self_urls: Vec<String>,
    /// Paths that are not meant to be judged.
    #[serde(default)]
    pub(crate) unrendered: Vec<Unrendered>,
    /// How kustomizations are built, by path; the first entry that fits decides.
    #[serde(default)]
    pub(crate) kustomize: Vec<Kustomize>,
    /// Full names of users whose requests are warned about at most: they restore what was lost.
    #[serde(default)]
    pub(crate) restore_writers: Vec<String>,
    /// The account of the controller of Argo Rollouts. Default:
    /// `system:serviceaccount:argo-rollouts:argo-rollouts`.
    pub(crate) rollouts_controller: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum ApiVersion {
    #[serde(rename = "stagegate.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Kind {
    Config,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum SeedSet {
    Recommended,
    Strict,
    Baseline,
    Restricted,
    None,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Enforcement {
    Deny,
    Warn,
    Audit,
    Off,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Severity {
    Critical,
    High,
    Medium,
    Low,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Tier {
    Production,
}

/// A step of promotion.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stage {
    /// Its name.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Globs of the files that belong to it.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// Globs of the namespaces that belong to it, for the webhook.
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
    /// The labels of the namespaces that belong to it, for the webhook.
    pub(crate) namespace_selector: Option<LabelSelector>,
    /// The stage before it.
    pub(crate) after: Option<String>,
    /// `production` where "in prod" means this stage, too. Implied by the names prod, production
    /// and live.
    pub(crate) tier: Option<Tier>,
    /// A ceiling for every policy in this stage.
    pub(crate) enforcement: Option<Enforcement>,
    /// Policies that an annotation on an object may waive: ids, `all` or `none`. Default: `none` in
    /// production, `all` elsewhere.
    pub(crate) annotation_waivers: Option<AnnotationWaivers>,
}

/// A label selector of Kubernetes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LabelSelector {
    /// Labels that must all be there.
    #[serde(default, rename = "matchLabels")]
    pub(crate) _match_labels: BTreeMap<String, String>,
    /// Requirements that must all hold.
    #[serde(default, rename = "matchExpressions")]
    pub(crate) _match_expressions: Vec<LabelRequirement>,
}

/// A requirement of a label selector.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LabelRequirement {
    /// The label.
    #[serde(rename = "key")]
    pub(crate) _key: String,
    /// How its value is compared.
    #[serde(rename = "operator")]
    pub(crate) _operator: LabelOperator,
    /// What it is compared with.
    #[serde(default, rename = "values")]
    pub(crate) _values: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum AnnotationWaivers {
    Word(AnnotationWaiversWord),
    Ids(Vec<String>),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum AnnotationWaiversWord {
    All,
    None,
}

/// What is configured for a policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Policy {
    /// What happens on a violation.
    pub(crate) enforcement: Option<Enforcement>,
    /// What happens on a violation at admission.
    pub(crate) admission: Option<Enforcement>,
    /// How bad a violation is.
    pub(crate) severity: Option<Severity>,
    /// Its parameters.
    #[serde(rename = "parameters")]
    pub(crate) _parameters: Option<BTreeMap<String, Value>>,
    /// What differs in a stage, by its name.
    #[serde(default)]
    pub(crate) stages: BTreeMap<String, InStage>,
    /// What happens at admission where the policy fails.
    pub(crate) on_error: Option<Enforcement>,
    /// What happens at admission where the time runs out before it has judged.
    pub(crate) on_timeout: Option<Enforcement>,
    /// What happens at admission where there are more requests than can be judged.
    pub(crate) on_overload: Option<Enforcement>,
    /// What happens at admission where what it looks at is too old.
    pub(crate) on_stale: Option<Enforcement>,
}

/// What differs in a stage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct InStage {
    /// What happens on a violation.
    pub(crate) enforcement: Option<Enforcement>,
    /// What happens on a violation at admission.
    pub(crate) admission: Option<Enforcement>,
    /// How bad a violation is.
    pub(crate) severity: Option<Severity>,
    /// Parameters, each replacing the one for all stages.
    #[serde(rename = "parameters")]
    pub(crate) _parameters: Option<BTreeMap<String, Value>>,
}

/// An accepted finding. Everything that is given must fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Waiver {
    /// Ids of policies, or globs of them.
    #[schemars(length(min = 1))]
    pub(crate) policies: Vec<String>,
    /// Which objects. Default: any.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(crate) objects: Vec<ObjectPattern>,
    /// Globs of the files in which the finding stands; offline only. Default: any.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(crate) paths: Vec<String>,
    /// Which stages. Default: any.
    #[serde(default)]
    pub(crate) stages: Vec<String>,
    /// Why. Without a reason nothing is waived.
    pub(crate) reason: Option<String>,
    /// The last day on which it holds, in UTC: `2027-03-31`.
    pub(crate) expires: Option<String>,
}

/// Which objects: globs, all of which must fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ObjectPattern {
    /// Group and version.
    pub(crate) api_version: Option<String>,
    /// Kind.
    pub(crate) kind: Option<String>,
    /// Name.
    pub(crate) name: Option<String>,
    /// Namespace; `default` fits objects that name none.
    pub(crate) namespace: Option<String>,
}

/// A cluster that ApplicationSets generate from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cluster {
    /// Its name in Argo CD.
    #[serde(rename = "name")]
    pub(crate) _name: String,
    /// The URL of its API server.
    #[serde(rename = "server")]
    pub(crate) _server: Option<String>,
    /// The labels of its Secret in Argo CD.
    #[serde(default, rename = "labels")]
    pub(crate) _labels: BTreeMap<String, String>,
    /// The annotations of its Secret in Argo CD.
    #[serde(default, rename = "annotations")]
    pub(crate) _annotations: BTreeMap<String, String>,
}

/// An object that lives elsewhere: a whole manifest, or its name tags.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct External {
    /// Group and version.
    #[schemars(length(min = 1))]
    #[serde(rename = "apiVersion")]
    pub(crate) _api_version: String,
    /// Kind.
    #[schemars(length(min = 1))]
    #[serde(rename = "kind")]
    pub(crate) _kind: String,
    /// Name; the same as `metadata.name`.
    pub(crate) name: Option<String>,
    /// Namespace; the same as `metadata.namespace`.
    pub(crate) namespace: Option<String>,
    /// The stages that can rely on it. Default: all.
    #[serde(default)]
    pub(crate) stages: Vec<String>,
}

/// How kustomizations are built.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kustomize {
    /// Globs of the kustomizations that are built, not of their bases.
    #[schemars(length(min = 1))]
    pub(crate) paths: Vec<String>,
    /// Which files they may read. Default: `none` below the `path` of a Flux Kustomization,
    /// `rootOnly` elsewhere.
    pub(crate) load_restrictions: LoadRestrictions,
}

/// Which files a kustomization may read.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) enum LoadRestrictions {
    /// Those in or below its own folder, as kustomize and Argo CD have it.
    RootOnly,
    /// All, as Flux has it, and Argo CD with `--load-restrictor LoadRestrictionsNone`.
    None,
}

/// Paths that are not meant to be judged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Unrendered {
    /// Globs of files and folders.
    #[schemars(length(min = 1))]
    pub(crate) paths: Vec<String>,
    /// Why.
    #[schemars(length(min = 1))]
    pub(crate) reason: String,
}
