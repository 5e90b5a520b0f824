//! What a YAML or JSON file is.
//!
//! Names are only a hint: a file with Kubernetes objects is a manifest whatever it is called, so
//! that nothing can be hidden behind a name. What a name decides is whether a file that cannot be
//! read is an error.

use stagegate_core::{Node, Object, Value};
use stagegate_manifest::Problem;
use stagegate_render::{Kustomization, PlainFile};

use crate::scan::file_name;

/// What a file is.
pub(crate) enum Class {
    /// Kubernetes objects.
    Manifests,
    /// A kustomization.
    Kustomization(Box<Kustomization>),
    /// A file that has the name of a kustomization and cannot be read.
    BrokenKustomization,
    /// Part of a Helm chart.
    ChartPart {
        /// The chart's folder.
        chart: String,
    },
    /// The definition of a pipeline, with what it is.
    Pipeline(Vec<Node>, String),
    /// Variables for an environment.
    Dotenv(Node),
    /// Something else, with what it is.
    Data(String),
    /// A file that cannot be read.
    Broken,
}

pub(crate) struct Classified {
    pub(crate) class: Class,
    pub(crate) objects: Vec<Object>,
    pub(crate) problems: Vec<Problem>,
    /// Something in it may be read differently by another program.
    pub(crate) ambiguous: bool,
}

/// Whether a file holds variables for an environment, by its name.
pub(crate) fn is_dotenv(path: &str) -> bool {
    let name = file_name(path);
    name == ".env" || name.starts_with(".env.") || name.ends_with(".env")
}

/// Whether a file defines a pipeline, by its name.
fn is_pipeline(path: &str) -> bool {
    let padded = format!("/{path}");
    let name = file_name(path);
    padded.contains("/.github/workflows/")
        || (padded.contains("/.github/actions/") && matches!(name, "action.yml" | "action.yaml"))
        || padded.contains("/.gitlab/ci/")
        || padded.ends_with("/.circleci/config.yml")
        || matches!(
            name,
            ".gitlab-ci.yml"
                | "azure-pipelines.yml"
                | "azure-pipelines.yaml"
                | "bitbucket-pipelines.yml"
                | ".drone.yml"
                | ".travis.yml"
        )
}

/// Whether a file inside a chart's folder belongs to the chart: what helm itself reads, and the
/// customary folders of values for tests.
pub(crate) fn is_chart_part(chart: &str, path: &str) -> bool {
    let inside = if chart == "." {
        path
    } else {
        &path[chart.len() + 1..]
    };
    match inside.split_once('/') {
        Some((folder, _)) => {
            matches!(
                folder,
                "templates" | "charts" | "crds" | "files" | "ci" | "tests"
            )
        }
        None => {
            matches!(
                inside,
                "Chart.yaml" | "Chart.lock" | "requirements.yaml" | "values.schema.json"
            ) || is_values(inside)
        }
    }
}

fn is_values(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or(name.strip_suffix(".yml"));
    stem.is_some_and(|s| s == "values" || s.starts_with("values-") || s.starts_with("values."))
        || stem.is_some_and(|s| s.ends_with("-values") || s.ends_with(".values"))
}

/// The stage that the name of a values file speaks of: `values-prod.yaml`.
pub(crate) fn stage_of_values(path: &str) -> Option<&str> {
    let name = file_name(path);
    let stem = name.strip_suffix(".yaml").or(name.strip_suffix(".yml"))?;
    stem.strip_prefix("values-")
        .or(stem.strip_prefix("values."))
}

pub(crate) fn classify(path: &str, text: &str, content: PlainFile) -> Classified {
    let PlainFile {
        objects,
        others,
        problems,
        ambiguous,
    } = content;
    let of_class = |class: Class| Classified {
        class,
        objects: Vec::new(),
        problems: Vec::new(),
        ambiguous: false,
    };
    let data = |reason: &str| of_class(Class::Data(reason.to_owned()));
    let (objects, tools): (Vec<Object>, Vec<Object>) =
        objects.into_iter().partition(is_for_a_cluster);
    if !problems.is_empty() && objects.is_empty() {
        if text.starts_with("\0GITCRYPT") {
            return data("encrypted by git-crypt");
        }
        if let Some(reason) = known_by_name(path) {
            return if is_pipeline(path) && !others.is_empty() {
                of_class(Class::Pipeline(others, reason.to_owned()))
            } else {
                data(reason)
            };
        }
        if path.ends_with(".json")
            && !(text.contains("\"apiVersion\"") && text.contains("\"kind\""))
        {
            return data("JSON that is no manifest");
        }
        if text.contains("{{") && !looks_like_manifest(text) {
            return data("a template");
        }
    }
    if !objects.is_empty() {
        return Classified {
            class: Class::Manifests,
            objects,
            problems,
            ambiguous,
        };
    }
    if is_pipeline(path) && !others.is_empty() {
        let reason = known_by_name(path).unwrap_or("pipeline");
        return of_class(Class::Pipeline(others, reason.to_owned()));
    }
    if !problems.is_empty() {
        return Classified {
            class: Class::Broken,
            objects,
            problems,
            ambiguous,
        };
    }
    if !tools.is_empty() {
        return data("configuration of a tool, not for a cluster");
    }
    match others.first() {
        None => data("empty"),
        Some(document) => data(known_by_name(path).unwrap_or_else(|| by_content(document))),
    }
}

/// Whether lines at the left edge name a version and a kind, as those of a manifest do.
fn looks_like_manifest(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("apiVersion:") && has("kind:")
}

/// API groups whose objects are read by tools and never sent to an API server.
const TOOL_GROUPS: &[&str] = &[
    "apiserver.config.k8s.io",
    "audit.k8s.io",
    "chainsaw.kyverno.io",
    "cli.kyverno.io",
    "client.authentication.k8s.io",
    "config.k8s.io",
    "credentialprovider.kubelet.k8s.io",
    "ctlptl.dev",
    "k3d.io",
    "kind.x-k8s.io",
    "kubeadm.k8s.io",
    "kubelet.config.k8s.io",
    "kubeproxy.config.k8s.io",
    "kubescheduler.config.k8s.io",
    "kustomize.config.k8s.io",
    "skaffold",
    "stagegate.dev",
];

fn is_for_a_cluster(object: &Object) -> bool {
    let reference = &object.reference;
    let (version, kind) = (reference.api_version.as_str(), reference.kind.as_str());
    // Nothing without metadata can be applied, and this is how tools' own files look.
    let is_settings = object.node.get("metadata").is_none()
        && (kind.ends_with("Config") || kind.ends_with("Configuration"));
    !(TOOL_GROUPS.contains(&reference.group())
        || version == "builtin"
        || (version == "v1" && kind == "Config")
        || is_settings)
}

/// Files that tools know by their names.
fn known_by_name(path: &str) -> Option<&'static str> {
    let name = file_name(path);
    if path.starts_with(".github/") || path.contains("/.github/") {
        return Some("GitHub workflow or configuration");
    }
    if is_values(name) {
        return Some("Helm values");
    }
    Some(match name {
        ".gitlab-ci.yml"
        | ".travis.yml"
        | "azure-pipelines.yml"
        | "azure-pipelines.yaml"
        | "bitbucket-pipelines.yml"
        | "cloudbuild.yaml"
        | ".drone.yml" => "pipeline",
        ".pre-commit-config.yaml" | ".pre-commit-hooks.yaml" => "pre-commit configuration",
        "docker-compose.yml" | "docker-compose.yaml" | "compose.yml" | "compose.yaml" => {
            "Docker Compose file"
        }
        ".sops.yaml" => "SOPS configuration",
        "mkdocs.yml" | "mkdocs.yaml" | ".yamllint.yml" | ".yamllint.yaml" | ".yamllint"
        | "renovate.json" | ".renovaterc.json" | "package.json" | "package-lock.json"
        | "tsconfig.json" | ".golangci.yml" | ".golangci.yaml" | "Taskfile.yml"
        | "Taskfile.yaml" | "codecov.yml" | ".codecov.yml" | "stagegate.yaml" => {
            "configuration of a tool"
        }
        _ => return None,
    })
}

fn by_content(node: &Node) -> &'static str {
    let has = |key: &str| node.get(key).is_some();
    match &node.value {
        Value::Array(items)
            if !items.is_empty()
                && items
                    .iter()
                    .all(|i| i.get("op").is_some() && i.get("path").is_some()) =>
        {
            "JSON 6902 patch"
        }
        // `on` is a key that YAML 1.1 reads as true.
        Value::Object(_) if has("jobs") && (has("on") || has("true")) => "workflow",
        Value::Object(_) if has("services") && (has("version") || has("volumes")) => {
            "Docker Compose file"
        }
        Value::Object(_) => "no apiVersion and kind",
        Value::Array(_) => "a list, not an object",
        _ => "a single value, not an object",
    }
}
