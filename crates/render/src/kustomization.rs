//! What a kustomization file refers to.
//!
//! Only what is needed to tell roots from bases, to find what is missing before anything is
//! rendered, and to follow a field back to its file. Source: the kustomization reference of
//! kubectl.docs.kubernetes.io.

use stagegate_core::{FileId, Mark, Node, Value};
use stagegate_manifest::{Format, ProblemKind, Profile, Source, load};

use crate::Failure;

/// The names that a kustomization file may have, in kustomize's order.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A kustomization file.
#[derive(Clone, Debug)]
pub struct Kustomization {
    /// The file.
    pub file: FileId,
    /// Its path relative to the tree's root.
    pub path: String,
    /// `kind: Component`: changes what others render, and renders nothing itself.
    pub component: bool,
    /// Everything that it refers to, in the order of the file.
    pub references: Vec<Reference>,
    /// Patches in the order in which they are applied.
    pub patches: Vec<Patch>,
    /// Generators of ConfigMaps and Secrets.
    pub generators: Vec<Generator>,
    /// Where it holds what may be a secret: literals of generators, patches of Secrets.
    pub secrets: Vec<Mark>,
    /// Files that become the data of Secrets, as they were written.
    pub secret_files: Vec<String>,
    /// What it puts before every name.
    pub name_prefix: String,
    /// What it puts behind every name.
    pub name_suffix: String,
    /// It asks for the label that says who manages the objects.
    pub managed_by_label: bool,
    /// Generators and transformers that stand in the file itself, as text.
    pub inline_plugins: Vec<Node>,
    /// Charts inflated by kustomize, which takes helm.
    pub helm_charts: Option<Mark>,
    /// The whole file.
    pub mark: Mark,
}

/// A path in a kustomization file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// As it was written.
    pub path: String,
    /// Where it was written.
    pub mark: Mark,
    /// What it is for.
    pub role: Role,
}

/// What a kustomization refers to something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A manifest, or a folder with another kustomization: `resources`, `bases`.
    Resource,
    /// A folder with a component.
    Component,
    /// A patch.
    Patch,
    /// A file whose content becomes data: generators, `crds`, `configurations`, values files.
    Data,
    /// A file or folder of generators, transformers or validators.
    Plugin,
}

/// What makes a ConfigMap or a Secret.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The name of what it makes, without the hash of its content.
    pub name: String,
    /// The generator.
    pub node: Node,
}

/// A patch, in a file or in the kustomization itself.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The file, as it was written.
    pub path: Option<String>,
    /// The text in the kustomization.
    pub inline: Option<Node>,
    /// What it is for, where that is said.
    pub target: Option<Node>,
}

impl Kustomization {
    /// Reads a kustomization file. `None` where the file holds something else, such as Flux's
    /// object of the same name.
    ///
    /// # Errors
    /// What kustomize would refuse to read.
    pub fn read(file: FileId, source: &Source) -> Result<Option<Kustomization>, Vec<Failure>> {
        let failure = |mark, message: String| Failure::new(&source.path, mark, message);
        let loaded = load(file, source, Format::Yaml, Profile::Apply);
        // Of two equal keys kustomize takes the last, without a word.
        let problems = loaded.problems.into_iter();
        let fatal: Vec<Failure> = problems
            .filter(|p| p.kind == ProblemKind::Unreadable)
            .map(|p| failure(p.mark, p.message))
            .collect();
        if !fatal.is_empty() {
            return Err(fatal);
        }
        let Some(root) = loaded.documents.into_iter().next() else {
            return Err(vec![failure(
                Mark::new(file, 0, 0),
                "the kustomization is empty; kustomize refuses it".to_owned(),
            )]);
        };
        let text = |key: &str| root.get(key).and_then(Node::as_str);
        if let Some(version) = text("apiVersion")
            && !version.starts_with("kustomize.config.k8s.io/")
        {
            return Ok(None);
        }
        if !matches!(root.value, Value::Object(_)) {
            return Err(vec![failure(
                root.mark,
                "a kustomization is a mapping".to_owned(),
            )]);
        }
        let mut kustomization = Kustomization {
            file,
            path: source.path.clone(),
            component: text("kind") == Some("Component"),
            references: Vec::new(),
            patches: Vec::new(),
            generators: Vec::new(),
            secrets: Vec::new(),
            secret_files: Vec::new(),
            name_prefix: text("namePrefix").unwrap_or_default().to_owned(),
            name_suffix: text("nameSuffix").unwrap_or_default().to_owned(),
            managed_by_label: root.get("buildMetadata").is_some_and(|n| {
                n.items()
                    .iter()
                    .any(|i| i.as_str() == Some("managedByLabel"))
            }),
            inline_plugins: Vec::new(),
            helm_charts: root
                .get("helmCharts")
                .or(root.get("helmChartInflationGenerator"))
                .map(|n| n.mark),
            mark: root.mark,
        };
        kustomization.collect(&root);
        kustomization.note_secret_patches();
        for generator in root.get("secretGenerator").map_or(&[][..], Node::items) {
            let literals = generator.get("literals").map_or(&[][..], Node::items);
            let marks = literals.iter().map(|l| value_of_literal(source, l.mark));
            kustomization.secrets.extend(marks);
            // A literal that was written as a file is one all the same.
            let envs = generator.get("envs").map_or(&[][..], Node::items).iter();
            let literals = envs.filter(|env| env.as_str().is_some_and(|text| text.contains('=')));
            let marks = literals.map(|l| value_of_literal(source, l.mark));
            kustomization.secrets.extend(marks);
            for key in ["envs", "files"] {
                let files = generator.get(key).map_or(&[][..], Node::items).iter();
                let paths = files.filter_map(Node::as_str);
                let paths = paths.map(|path| path.split_once('=').map_or(path, |(_, p)| p));
                kustomization.secret_files.extend(paths.map(str::to_owned));
            }
            let env = generator.get("env").and_then(Node::as_str);
            kustomization.secret_files.extend(env.map(str::to_owned));
        }
        Ok(Some(kustomization))
    }

    fn collect(&mut self, root: &Node) {
        for (key, role) in [
            ("resources", Role::Resource),
            ("bases", Role::Resource),
            ("components", Role::Component),
            ("crds", Role::Data),
            ("configurations", Role::Data),
            ("generators", Role::Plugin),
            ("transformers", Role::Plugin),
            ("validators", Role::Plugin),
        ] {
            for item in root.get(key).map_or(&[][..], Node::items) {
                if role == Role::Plugin && item.as_str().is_some_and(|text| text.contains('\n')) {
                    self.inline_plugins.push(item.clone());
                }
                self.refer(item, role);
            }
        }
        if let Some(path) = root.path(&["openapi", "path"]) {
            self.refer(path, Role::Data);
        }
        for replacement in root.get("replacements").map_or(&[][..], Node::items) {
            if let Some(path) = replacement.get("path") {
                self.refer(path, Role::Data);
            }
        }
        for key in ["configMapGenerator", "secretGenerator"] {
            for generator in root.get(key).map_or(&[][..], Node::items) {
                self.generator(generator);
            }
        }
        for chart in root.get("helmCharts").map_or(&[][..], Node::items) {
            for key in ["valuesFile", "additionalValuesFiles"] {
                match chart.get(key) {
                    Some(node) if node.as_str().is_some() => self.refer(node, Role::Data),
                    Some(node) => node.items().iter().for_each(|n| self.refer(n, Role::Data)),
                    None => {}
                }
            }
        }
        for item in root
            .get("patchesStrategicMerge")
            .map_or(&[][..], Node::items)
        {
            // A line break tells a patch from the name of a file with one.
            if item.as_str().is_some_and(|text| text.contains('\n')) {
                self.patches.push(Patch {
                    path: None,
                    inline: Some(item.clone()),
                    target: None,
                });
            } else {
                self.patch_file(item, None);
            }
        }
        for key in ["patches", "patchesJson6902"] {
            for item in root.get(key).map_or(&[][..], Node::items) {
                let target = item.get("target").cloned();
                match (item.get("path"), item.get("patch")) {
                    (Some(path), _) => self.patch_file(path, target),
                    (None, Some(patch)) => self.patches.push(Patch {
                        path: None,
                        inline: Some(patch.clone()),
                        target,
                    }),
                    _ => {}
                }
            }
        }
    }

    fn generator(&mut self, generator: &Node) {
        if let Some(name) = generator.get("name").and_then(Node::as_str) {
            self.generators.push(Generator {
                name: name.to_owned(),
                node: generator.clone(),
            });
        }
        for file in generator.get("files").map_or(&[][..], Node::items) {
            // `key=path`, or just the path.
            if let Some(text) = file.as_str() {
                let path = text.split_once('=').map_or(text, |(_, path)| path);
                self.refer_to(path, file.mark, Role::Data);
            }
        }
        for file in generator.get("envs").map_or(&[][..], Node::items) {
            self.refer(file, Role::Data);
        }
        if let Some(file) = generator.get("env") {
            self.refer(file, Role::Data);
        }
    }

    /// Inline patches and generators that may hold secrets, as far as a look at their text tells.
    fn note_secret_patches(&mut self) {
        let may_hold = |text: &str| {
            let text = text.to_lowercase();
            ["secret", "stringdata", "data"]
                .iter()
                .any(|word| text.contains(word))
        };
        let of_patch = |patch: &Patch| {
            let text = patch.inline.as_ref()?;
            let target = patch.target.as_ref().and_then(|t| t.get("kind"));
            let is_secret = target.and_then(Node::as_str) == Some("Secret");
            (is_secret || text.as_str().is_some_and(may_hold)).then_some(text.mark)
        };
        let marks: Vec<Mark> = self.patches.iter().filter_map(of_patch).collect();
        self.secrets.extend(marks);
        self.secrets
            .extend(self.inline_plugins.iter().map(|plugin| plugin.mark));
    }

    fn patch_file(&mut self, path: &Node, target: Option<Node>) {
        self.refer(path, Role::Patch);
        if let Some(path) = path.as_str() {
            self.patches.push(Patch {
                path: Some(path.to_owned()),
                inline: None,
                target,
            });
        }
    }

    fn refer(&mut self, node: &Node, role: Role) {
        // Generators and transformers may stand in the kustomization itself.
        if let Some(path) = node.as_str().filter(|text| !text.contains('\n')) {
            self.refer_to(path, node.mark, role);
        }
    }

    fn refer_to(&mut self, path: &str, mark: Mark, role: Role) {
        self.references.push(Reference {
            path: path.to_owned(),
            mark,
            role,
        });
    }
}

impl Reference {
    /// Whether this leads out of every file system: a URL, or one of the short forms of a git
    /// repository that kustomize takes.
    pub fn is_remote(&self) -> bool {
        is_remote(&self.path)
    }
}

/// Where the value of a literal `key=value` stands; all of it where there is no key.
pub(crate) fn value_of_literal(source: &Source, literal: Mark) -> Mark {
    let text = source
        .text
        .get(literal.start as usize..literal.end as usize);
    let equals = text.and_then(|text| text.find('='));
    let behind = equals.and_then(|at| u32::try_from(at + 1).ok());
    Mark {
        start: literal.start + behind.unwrap_or_default(),
        ..literal
    }
}

/// The same for any path.
pub(crate) fn is_remote(path: &str) -> bool {
    path.contains("://")
        || path.starts_with("git@")
        || path.starts_with("git::")
        || path.contains("?ref=")
        || path.contains(".git//")
        || ["github.com/", "gitlab.com/", "bitbucket.org/"]
            .iter()
            .any(|h| path.starts_with(h))
}
