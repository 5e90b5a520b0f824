//! A folder of policies: which file is what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::Value;
use regorus::unstable::Expr;
use stagegate_core::{FileId, Meta, Policy};
use stagegate_manifest::{Format, Profile, Source, expand_list};

use crate::check::Visitor;
use crate::conftest::{self, ConftestPolicy};
use crate::convert::value_of;
use crate::evaluate::Program;
use crate::gatekeeper::{self, CONSTRAINTS, Document, TEMPLATES, Template};
use crate::metadata::Metadata;
use crate::module::{At, Dialect, Module, Place, constant_steps, imports, steps};
use crate::own::{self, OwnPolicy, Sees};
use crate::text::Purpose;
use crate::{LoadError, Loaded, LoadedPolicy, bundled, check};

/// A folder's files, read.
#[derive(Default)]
pub struct Folder {
    /// The `.rego`, `.yaml`, `.yml` and `.json` files, in any order.
    pub files: Vec<PolicyFile>,
    /// The packages of policies in conftest's form.
    pub packages: Vec<String>,
}

/// A file of the folder.
#[derive(Clone)]
pub struct PolicyFile {
    /// Its path below the folder, with `/`.
    pub path: String,
    /// What marks call it.
    pub file: FileId,
    /// Its text.
    pub source: Arc<Source>,
}

/// Loads a folder. Tests (`*_test.rego`) are left out: see
/// [`crate::test`].
///
/// # Errors
/// Everything that is wrong with it, sorted by place: then nothing of it is used.
pub fn load(folder: &Folder) -> Result<Loaded, Vec<LoadError>> {
    let mut loading = Loading::read(folder, Purpose::Policy);
    loading.rego(folder);
    loading.gatekeeper();
    loading.finish()
}

/// Whether a file holds tests.
pub(crate) fn is_test(path: &str) -> bool {
    path.ends_with("_test.rego")
}

/// A folder while it is loaded.
pub(crate) struct Loading {
    /// With the path below the folder; the bundled helpers last.
    pub(crate) modules: Vec<(String, Arc<Module>)>,
    pub(crate) data: Value,
    documents: Vec<Document>,
    loaded: Loaded,
    pub(crate) errors: Vec<LoadError>,
}

impl Loading {
    /// Parses every file.
    pub(crate) fn read(folder: &Folder, purpose: Purpose) -> Loading {
        let mut files: Vec<&PolicyFile> = folder.files.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut loading = Loading {
            modules: Vec::new(),
            data: Value::Undefined,
            documents: Vec::new(),
            loaded: Loaded::default(),
            errors: Vec::new(),
        };
        for file in files {
            if file.path.ends_with(".rego") {
                if purpose == Purpose::Test || !is_test(&file.path) {
                    loading.module(file, purpose);
                }
            } else if matches!(name_of(&file.path), "data.yaml" | "data.yml" | "data.json") {
                loading.data(file);
            } else {
                loading.yaml(file);
            }
        }
        loading.libraries();
        loading
    }

    fn module(&mut self, file: &PolicyFile, purpose: Purpose) {
        let place = Place {
            file: file.file,
            source: Arc::clone(&file.source),
            at: At::Whole,
        };
        let name = file.source.path.clone();
        let text = file.source.text.clone();
        match Module::parse(name, place, text, purpose, Dialect::V1) {
            Ok(module) => self.modules.push((file.path.clone(), Arc::new(module))),
            Err(error) => self.errors.push(error),
        }
    }

    /// The bundled helpers that are imported, unless the folder has its own under their names.
    fn libraries(&mut self) {
        let of_all = self.modules.iter().map(|(_, module)| references(module));
        let wanted: BTreeSet<Vec<String>> = of_all.flatten().collect();
        for library in bundled::libraries() {
            let package = &library.package;
            let own = self.modules.iter().any(|(_, m)| m.package == *package);
            let is_used = wanted.iter().any(|path| path.starts_with(package));
            if is_used && !own {
                let path = library.name.clone();
                self.modules.push((path, Arc::clone(library)));
            }
        }
    }

    /// A data file stands below `data` where its folder stands, as in OPA's bundles.
    fn data(&mut self, file: &PolicyFile) {
        let loaded = load_yaml(file);
        for problem in &loaded.problems {
            self.errors.push(LoadError {
                mark: problem.mark,
                message: problem.message.clone(),
                help: None,
            });
        }
        let Some(root) = loaded.documents.first() else {
            return;
        };
        let folders: Vec<&str> = file.path.split('/').collect();
        let folders = &folders[..folders.len() - 1];
        let mut value = value_of(root);
        for folder in folders.iter().rev() {
            let nested: regorus::value::Object =
                [(Value::from(*folder), value)].into_iter().collect();
            value = Value::Object(regorus::Rc::new(nested));
        }
        let is_object = matches!(value, Value::Object(_));
        let merged = if is_object {
            merge(&mut self.data, value)
        } else {
            Err(())
        };
        if merged.is_err() {
            self.errors.push(LoadError {
                mark: root.mark,
                message: if is_object {
                    "two data files give one key different values".to_owned()
                } else {
                    "a data file holds keys with values".to_owned()
                },
                help: None,
            });
        }
    }

    /// Templates and constraints; other YAML is none of our business.
    fn yaml(&mut self, file: &PolicyFile) {
        let loaded = load_yaml(file);
        let text = &file.source.text;
        let may_matter = text.contains("gatekeeper.sh");
        for problem in loaded.problems.iter().filter(|_| may_matter) {
            self.errors.push(LoadError {
                mark: problem.mark,
                message: problem.message.clone(),
                help: None,
            });
        }
        for document in loaded.documents {
            let nodes = expand_list(document);
            self.documents
                .extend(nodes.into_iter().map(|node| Document {
                    file: file.file,
                    source: Arc::clone(&file.source),
                    node,
                }));
        }
    }

    /// Policies in our own form and in conftest's.
    fn rego(&mut self, folder: &Folder) {
        let modules: Vec<Arc<Module>> = self.modules.iter().map(|(_, m)| Arc::clone(m)).collect();
        let all: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
        self.errors.extend(check::check(&all));
        self.loaded
            .notices
            .extend(all.iter().flat_map(|module| check::notices(module)));
        let closures = closures(&all);
        let mut programs: BTreeMap<&BTreeSet<usize>, Arc<Program>> = BTreeMap::new();
        for (i, (path, module)) in self.modules.clone().iter().enumerate() {
            let metadata = match Metadata::read(&module.original, &module.place) {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.errors.push(error);
                    continue;
                }
            };
            let is_own = module
                .package
                .first()
                .is_some_and(|first| first == "stagegate");
            let is_helper = path.starts_with("lib/")
                || path.contains("/lib/")
                || module
                    .package
                    .get(1)
                    .is_some_and(|second| is_own && second == "lib");
            let package = module.package.join(".");
            let is_conftest = conftest::speaks(module) && !is_own && !is_helper;
            let is_named = folder.packages.contains(&package);
            if is_helper || !(is_own || is_conftest) {
                continue;
            }
            if !is_own && !is_named {
                self.not_taken(module, &package);
                continue;
            }
            let used = &closures[i];
            let program = programs.entry(used).or_insert_with(|| {
                let modules = used.iter().map(|i| Arc::clone(&modules[*i])).collect();
                Arc::new(Program::new(modules, self.data.clone()))
            });
            let program = Arc::clone(program);
            // Errors that are known already would only be told again, in other words.
            if self.errors.is_empty()
                && let Err(error) = program.compile()
            {
                self.errors.push(error);
                continue;
            }
            let position = used.iter().position(|used| *used == i).unwrap_or_default();
            let metadata = metadata.as_ref();
            let policy = if is_own {
                own_policy(path, module, metadata, program, &mut self.errors).map(|mut policy| {
                    brought(&mut policy.meta, policy.program.modules(), &[]);
                    Arc::new(policy) as Arc<dyn Policy>
                })
            } else {
                let id = metadata.and_then(|m| m.custom("id")?.as_str());
                let id = id.unwrap_or_else(|| stem(path));
                let category = category(path, "conftest");
                let mut policy =
                    ConftestPolicy::new(id, category, metadata, Arc::clone(&program), position);
                brought(policy.meta_mut(), program.modules(), &[]);
                Some(Arc::new(policy) as Arc<dyn Policy>)
            };
            if let Some(policy) = policy {
                let mark = module.package_mark();
                self.loaded.policies.push(LoadedPolicy { policy, mark });
            }
        }
    }

    fn not_taken(&mut self, module: &Module, package: &str) {
        let error = LoadError {
            mark: module.package_mark(),
            message: format!(
                "the package {package} has rules like those of policies, and is not one of the \
                 packages that policies are taken from"
            ),
            help: Some(format!(
                "lint with --rego-package {package}, or move it into lib/"
            )),
        };
        self.loaded.notices.push(error);
    }

    fn gatekeeper(&mut self) {
        let documents = std::mem::take(&mut self.documents);
        let of_group = |document: &Document, group: &str| {
            let version = document.text(&["apiVersion"]);
            version.is_some_and(|version| stagegate_core::group_of(version) == group)
        };
        let mut templates: BTreeMap<String, Template> = BTreeMap::new();
        for document in documents.iter().filter(|d| of_group(d, TEMPLATES)) {
            if document.text(&["kind"]) != Some("ConstraintTemplate") {
                continue;
            }
            let Some(template) = Template::read(document, &mut self.errors) else {
                continue;
            };
            if templates.contains_key(&template.kind) {
                self.errors.push(LoadError {
                    mark: template.mark,
                    message: format!("a second ConstraintTemplate of the kind {}", template.kind),
                    help: None,
                });
                continue;
            }
            templates.insert(template.kind.clone(), template);
        }
        let mut used: BTreeSet<String> = BTreeSet::new();
        for document in documents.iter().filter(|d| of_group(d, CONSTRAINTS)) {
            used.extend(document.text(&["kind"]).map(str::to_owned));
            // A template that could not be read has been told of.
            if templates.is_empty() && !self.errors.is_empty() {
                continue;
            }
            let policy = gatekeeper::constraint(
                document,
                &templates,
                &mut self.errors,
                &mut self.loaded.unsupported,
            );
            if let Some(policy) = policy {
                let name = document.node.path(&["metadata", "name"]);
                let mark = name.map_or(document.node.mark, |name| name.mark);
                self.loaded.policies.push(LoadedPolicy { policy, mark });
            }
        }
        for template in templates.values().filter(|t| !used.contains(&t.kind)) {
            self.loaded.notices.push(LoadError {
                mark: template.mark,
                message: format!(
                    "no constraint of the kind {} is here: it judges nothing",
                    template.kind
                ),
                help: None,
            });
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<LoadError>> {
        let policies = &mut self.loaded.policies;
        policies.sort_by(|a, b| a.policy.meta().id.cmp(&b.policy.meta().id));
        for policy in policies.iter() {
            let id = &policy.policy.meta().id;
            if id.is_empty() || id.contains(|c: char| c.is_whitespace() || c == ',') {
                self.errors.push(LoadError {
                    mark: policy.mark,
                    message: format!("{id:?} cannot be the name of a policy"),
                    help: Some("give it a name without spaces and commas".to_owned()),
                });
            }
        }
        if self.errors.is_empty() {
            Ok(self.loaded)
        } else {
            self.errors.sort_by_key(|e| e.mark);
            self.errors.dedup();
            Err(self.errors)
        }
    }
}

/// The policy of a module in our own form.
pub(crate) fn own_policy(
    path: &str,
    module: &Module,
    metadata: Option<&Metadata>,
    program: Arc<Program>,
    errors: &mut Vec<LoadError>,
) -> Option<OwnPolicy> {
    let mut wrong = |message: &str, help: &str| {
        errors.push(LoadError {
            mark: module.package_mark(),
            message: message.to_owned(),
            help: Some(help.to_owned()),
        });
    };
    let Some(metadata) = metadata else {
        wrong(
            "a policy under `stagegate.` has a METADATA block before its package",
            "# METADATA, # title: …; helpers belong into lib/",
        );
        return None;
    };
    if !module.has_rule("violation") {
        wrong(
            "a policy under `stagegate.` has a rule `violation`",
            "violation contains {\"msg\": …, \"pointer\": …} if …; helpers belong into lib/",
        );
        return None;
    }
    let category = category(path, "custom");
    let meta = own::meta(stem(path), category, metadata, errors);
    let sees = Sees::of(&program);
    if sees.any() && !meta.scope.compares_objects() {
        let custom = metadata.root.get("custom").unwrap_or(&metadata.root);
        errors.push(LoadError {
            mark: custom.mark,
            message: "the policy looks at data.inventory or data.index, and its scope is object"
                .to_owned(),
            help: Some("write `scope: stage` under `custom`".to_owned()),
        });
        return None;
    }
    Some(OwnPolicy {
        meta,
        rule: format!("{}.violation", module.package_path()),
        program,
        sees,
    })
}

/// Marks a policy as one that somebody brought along.
pub(crate) fn brought(meta: &mut Meta, modules: &[Arc<Module>], besides: &[u8]) {
    use xxhash_rust::xxh3::xxh3_64;
    let texts = modules.iter().map(|m| xxh3_64(m.original.as_bytes()));
    meta.brought = true;
    meta.version = texts.fold(xxh3_64(besides), |sum, hash| sum.rotate_left(5) ^ hash);
}

/// For each module: itself, those of its package, and what they refer to, in turn.
pub(crate) fn closures(modules: &[&Module]) -> Vec<BTreeSet<usize>> {
    let used = modules.iter().map(|module| {
        let mut wanted = references(module);
        wanted.insert(module.package.clone());
        let is_wanted = |package: &Vec<String>| {
            wanted
                .iter()
                .any(|path| path.starts_with(package) || package.starts_with(path))
        };
        let others = modules.iter().enumerate();
        let used = others.filter(|(_, other)| is_wanted(&other.package));
        used.map(|(i, _)| i).collect()
    });
    let used: Vec<Vec<usize>> = used.collect();
    let closure = |start| {
        let mut found = BTreeSet::new();
        let mut ahead = vec![start];
        while let Some(next) = ahead.pop() {
            if found.insert(next) {
                ahead.extend(&used[next]);
            }
        }
        found
    };
    (0..modules.len()).map(closure).collect()
}

/// The paths below `data` that a module names.
fn references(module: &Module) -> BTreeSet<Vec<String>> {
    struct References {
        imports: BTreeMap<String, Vec<String>>,
        found: BTreeSet<Vec<String>>,
    }
    impl Visitor for References {
        fn expr(&mut self, expr: &Expr) {
            let named = match expr {
                Expr::Call { fcn, .. } => steps(fcn).unwrap_or_default(),
                _ => constant_steps(expr),
            };
            if let Some((first, rest)) = named.split_first() {
                if first == "data" {
                    self.found.insert(rest.to_vec());
                } else if let Some((root, below)) =
                    self.imports.get(first).and_then(|path| path.split_first())
                    && root == "data"
                {
                    self.found.insert([below, rest].concat());
                }
            }
            self.children(expr);
        }
    }
    let imports = imports(&module.ast);
    let imported = imports.values().filter_map(|path| {
        let (root, below) = path.split_first()?;
        (root == "data").then(|| below.to_vec())
    });
    let mut references = References {
        found: imported.collect(),
        imports: imports.clone(),
    };
    for rule in &module.ast.policy {
        references.rule(rule);
    }
    references.found.retain(|path| !path.is_empty());
    references.found
}

fn load_yaml(file: &PolicyFile) -> stagegate_manifest::Loaded {
    let format = if file.path.ends_with(".json") {
        Format::Json
    } else {
        Format::Yaml
    };
    stagegate_manifest::load(file.file, &file.source, format, Profile::Apply)
}

/// `b` into `a`; fails where both give one key different values.
fn merge(a: &mut Value, b: Value) -> Result<(), ()> {
    match (a, b) {
        (a @ Value::Undefined, b) => *a = b,
        (Value::Object(a), Value::Object(b)) => {
            let a = regorus::Rc::make_mut(a);
            for (key, value) in b.iter() {
                match a.get_mut(key) {
                    Some(own) => merge(own, value.clone())?,
                    None => {
                        a.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (a, b) if *a == b => {}
        _ => return Err(()),
    }
    Ok(())
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The file's name without its ending.
pub(crate) fn stem(path: &str) -> &str {
    let name = name_of(path);
    name.strip_suffix(".rego").unwrap_or(name)
}

/// The name of the file's folder.
pub(crate) fn category<'p>(path: &'p str, default: &'p str) -> &'p str {
    path.rsplit_once('/')
        .map_or(default, |(folder, _)| name_of(folder))
}
