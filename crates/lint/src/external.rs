//! What a stage deploys from outside of the repository: charts, other repositories, generators that
//! ask the network.
//!
//! Source: the references of Argo CD's Application and ApplicationSet, of Flux's HelmRelease and
//! Kustomization, and of k3s' HelmChart.

use std::sync::Arc;

use stagegate_core::{Cursor, Gap, Mark, Node, Object, Stage, Violation};
use stagegate_render::{Failure, Tree};

/// Something that is deployed and lies outside of the repository.
#[derive(Clone, Debug)]
pub struct ExternalSource {
    /// The stage that deploys it.
    pub stage: Stage,
    /// What it is: `the chart redis of https://charts.example.com`.
    pub what: String,
    /// The namespace that it is deployed into, where one is said.
    pub namespace: Option<String>,
    /// The object that names it; else a kustomization does.
    pub object: Option<Arc<Object>>,
    /// The violation.
    pub violation: Violation,
    /// The file that names it.
    pub path: String,
    /// Where it is named, if no object names it.
    pub mark: Mark,
}

impl ExternalSource {
    /// A remote resource of a kustomization.
    pub(crate) fn of_failure(stage: &Stage, failure: Failure) -> ExternalSource {
        let mut violation = Violation::of_file(
            format!("{}: {}", failure.path, failure.message),
            failure.message.clone(),
        );
        violation.help = failure.help;
        ExternalSource {
            stage: stage.clone(),
            what: format!("a remote resource of {}", failure.path),
            namespace: None,
            object: None,
            violation,
            path: failure.path,
            mark: failure.mark,
        }
    }

    /// What a policy has to know of it.
    pub(crate) fn gap(&self) -> Gap {
        Gap {
            namespace: self.namespace.clone(),
            what: self.what.clone(),
        }
    }
}

/// What the objects of a stage deploy from outside.
pub(crate) fn sources(
    stage: &Stage,
    objects: &[Arc<Object>],
    tree: &Tree,
    self_urls: &[String],
) -> Vec<ExternalSource> {
    let own: Vec<String> = self_urls.iter().map(|url| normal(url)).collect();
    let repository = Repository {
        tree,
        own: &own,
        objects,
    };
    let mut found = Vec::new();
    for object in objects {
        let mut tell = |cursor: &Cursor<'_>, what: String, namespace: Option<&str>| {
            let value = cursor.node().and_then(Node::as_str).unwrap_or_default();
            let message =
                format!("{what} is deployed and not judged: it is not in this repository");
            found.push(ExternalSource {
                stage: stage.clone(),
                what,
                namespace: namespace.map(str::to_owned),
                object: Some(Arc::clone(object)),
                violation: Violation::of_value(cursor, value, message),
                path: String::new(),
                mark: Mark::NONE,
            });
        };
        let root = Cursor::root(&object.node);
        let spec = root.member("spec");
        match (object.reference.group(), object.reference.kind.as_str()) {
            ("argoproj.io", "Application") => repository.application(&spec, &mut tell),
            ("argoproj.io", "ApplicationSet") => {
                repository.generators(&spec.member("generators"), &mut tell);
                let template = spec.member("template");
                repository.application(&template.member("spec"), &mut tell);
            }
            ("helm.toolkit.fluxcd.io", "HelmRelease") => {
                repository.helm_release(&spec, object, &mut tell);
            }
            ("kustomize.toolkit.fluxcd.io", "Kustomization") => {
                repository.flux_kustomization(&spec, &mut tell);
            }
            ("helm.cattle.io", "HelmChart") => {
                let chart = spec.member("chart");
                if let Some(name) = text(&chart)
                    && spec.member("chartContent").node().is_none()
                {
                    let of = text(&spec.member("repo")).map(|repo| format!(" of {repo}"));
                    let what = format!("the chart {name}{}", of.unwrap_or_default());
                    tell(&chart, what, text(&spec.member("targetNamespace")));
                }
            }
            _ => {}
        }
    }
    found
}

/// Takes what is external: where it is named, what it is, and the namespace that it goes into.
type Tell<'t> = dyn FnMut(&Cursor<'_>, String, Option<&str>) + 't;

struct Repository<'r> {
    tree: &'r Tree,
    own: &'r [String],
    objects: &'r [Arc<Object>],
}

impl Repository<'_> {
    fn application(&self, spec: &Cursor<'_>, tell: &mut Tell<'_>) {
        let destination = spec.member("destination");
        let namespace = destination.member("namespace");
        let namespace = text(&namespace);
        self.source(&spec.member("source"), namespace, tell);
        for source in spec.member("sources").items() {
            self.source(&source, namespace, tell);
        }
    }

    fn source(&self, source: &Cursor<'_>, namespace: Option<&str>, tell: &mut Tell<'_>) {
        let url = source.member("repoURL");
        let Some(address) = text(&url) else {
            return;
        };
        if let Some(chart) = text(&source.member("chart")) {
            let what = format!("the chart {chart} of {address}");
            return tell(&url, what, namespace);
        }
        if address.starts_with("oci://") {
            return tell(&url, address.to_owned(), namespace);
        }
        // A source that is only referred to gives values, no objects.
        let is_reference = source.member("ref").node().is_some();
        let path = source.member("path");
        let path = match text(&path) {
            Some(path) => path,
            None if is_reference => return,
            None => ".",
        };
        // What a generator fills in is told with the generator.
        if !address.contains("{{") && !self.is_own(address) && !self.has(path) {
            tell(&url, format!("{path} of {address}"), namespace);
        }
    }

    fn generators(&self, generators: &Cursor<'_>, tell: &mut Tell<'_>) {
        for generator in generators.items() {
            for kind in ["scmProvider", "pullRequest", "plugin"] {
                let member = generator.member(kind);
                if member.node().is_some() {
                    tell(&member, format!("what the generator {kind} finds"), None);
                }
            }
            for kind in ["matrix", "merge"] {
                let nested = generator.member(kind);
                self.generators(&nested.member("generators"), tell);
            }
            let git = generator.member("git");
            let url = git.member("repoURL");
            if let Some(address) = text(&url) {
                let paths = |list: &str| {
                    let items = git.member(list);
                    items
                        .items()
                        .filter_map(|item| text(&item.member("path")).map(str::to_owned))
                        .collect::<Vec<_>>()
                };
                let mut wanted = paths("directories");
                wanted.extend(paths("files"));
                if !self.is_own(address) && !wanted.iter().any(|path| self.has(path)) {
                    tell(&url, format!("what the generator finds in {address}"), None);
                }
            }
        }
    }

    fn helm_release(&self, spec: &Cursor<'_>, object: &Object, tell: &mut Tell<'_>) {
        let target = spec.member("targetNamespace");
        let namespace = text(&target).or(object.reference.namespace.as_deref());
        let reference = spec.member("chartRef");
        if let Some(name) = text(&reference.member("name")) {
            let kind = reference.member("kind");
            let what = format!("the chart of {} {name}", text(&kind).unwrap_or_default());
            return tell(&reference, what, namespace);
        }
        let chart = spec.member("chart");
        let chart = chart.member("spec");
        let name = chart.member("chart");
        let Some(path) = text(&name) else {
            return;
        };
        let source = chart.member("sourceRef");
        let kind = source.member("kind");
        let kind = text(&kind).unwrap_or_default();
        if kind == "GitRepository" && self.has(path) {
            return;
        }
        let of = source.member("name");
        let of = text(&of).unwrap_or_default();
        tell(&name, format!("the chart {path} of {kind} {of}"), namespace);
    }

    fn flux_kustomization(&self, spec: &Cursor<'_>, tell: &mut Tell<'_>) {
        let source = spec.member("sourceRef");
        let (kind, name) = (source.member("kind"), source.member("name"));
        let (Some(kind), Some(name)) = (text(&kind), text(&name)) else {
            return;
        };
        let target = spec.member("targetNamespace");
        let path = spec.member("path");
        let path = text(&path).unwrap_or(".");
        let is_own = match kind {
            "GitRepository" => self.is_own_source(name) || self.has(path),
            "ExternalArtifact" => self.is_cut_out_of_own(name),
            _ => false,
        };
        if is_own {
            return;
        }
        tell(&source, format!("{path} of {kind} {name}"), text(&target));
    }

    /// Whether a GitRepository of Flux is this repository.
    fn is_own_source(&self, name: &str) -> bool {
        let mut repositories = self.objects.iter().filter(|object| {
            object.reference.kind == "GitRepository" && object.reference.name == name
        });
        // Flux's own name for the repository that it was set up from.
        name == "flux-system"
            || repositories.any(|object| {
                let url = object.node.path(&["spec", "url"]).and_then(Node::as_str);
                url.is_some_and(|url| self.is_own(url))
            })
    }

    /// Whether an artifact is made of nothing but files of this repository.
    fn is_cut_out_of_own(&self, artifact: &str) -> bool {
        self.objects.iter().any(|object| {
            let list = |key: &str| {
                object
                    .node
                    .path(&["spec", key])
                    .map_or(&[][..], Node::items)
            };
            let makes_it = list("artifacts")
                .iter()
                .any(|made| made.get("name").and_then(Node::as_str) == Some(artifact));
            let is_own = |source: &Node| {
                let name = source.get("name").and_then(Node::as_str);
                source.get("kind").and_then(Node::as_str) == Some("GitRepository")
                    && name.is_some_and(|name| self.is_own_source(name))
            };
            object.reference.kind == "ArtifactGenerator"
                && makes_it
                && list("sources").iter().all(is_own)
        })
    }

    /// Whether a URL is one of this repository.
    fn is_own(&self, url: &str) -> bool {
        self.own.contains(&normal(url))
    }

    /// Whether a path stands in the tree, or, up to where it begins to vary, its folder does.
    fn has(&self, path: &str) -> bool {
        let fixed = path.split(['*', '{', '?', '[']).next().unwrap_or_default();
        let fixed = if fixed.len() == path.len() {
            fixed
        } else {
            fixed.rsplit_once('/').map_or("", |(folder, _)| folder)
        };
        let fixed = fixed.trim_start_matches("./").trim_matches('/');
        let fixed = if fixed == "." { "" } else { fixed };
        // The whole repository is a path of every repository, and says nothing.
        if fixed.is_empty() {
            // What a generator fills in is told with the generator.
            return path.contains("{{");
        }
        self.tree.absolute(fixed).exists()
    }
}

fn text<'n>(cursor: &Cursor<'n>) -> Option<&'n str> {
    cursor.node()?.as_str().filter(|t| !t.is_empty())
}

/// A repository's URL in one form, however it was written: ssh, https, with or without `.git`.
fn normal(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let (has_scheme, rest) = match url.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, url),
    };
    let rest = rest.split_once('@').map_or(rest, |(_, host)| host);
    // `git@host:team/repository`
    let path = if has_scheme {
        rest.to_owned()
    } else {
        rest.replacen(':', "/", 1)
    };
    path.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn urls_of_one_repository_are_equal() {
        for url in [
            "https://example.com/Team/shop.git",
            "https://user@example.com/team/shop/",
            "git@example.com:team/shop.git",
            "ssh://git@example.com/team/shop",
        ] {
            assert_eq!(normal(url), "example.com/team/shop", "{url}");
        }
        assert_ne!(
            normal("https://example.com/team/shop2"),
            "example.com/team/shop"
        );
    }
}
