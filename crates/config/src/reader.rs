//! A file that fits the schema to settings, with what a schema cannot say.

use std::sync::Arc;

use stagegate_core::{
    AnnotationWaivers, Enforcement, Entry, KubernetesVersion, Map, Mark, Meta, NameGlob, Node,
    Object, ObjectPattern, Origin, PathGlob, Pointer, PolicySettings, SeedSet, Severity, Stage,
    StageName, StageOverride, StageRule, StageRules, Str, Tier, Value, Waiver,
};

use crate::{Config, ConfigError, External, Kustomize, StageConfig, Unrendered, model, suggest};

/// The account of the controller of Argo Rollouts in its own installation manifests.
const ROLLOUTS_CONTROLLER: &str = "system:serviceaccount:argo-rollouts:argo-rollouts";

/// Reads what the schema let through.
pub(crate) fn read(
    file: model::File,
    root: &Node,
    policies: &[&Meta],
    errors: &mut Vec<ConfigError>,
) -> Config {
    let mut reader = Reader {
        root,
        policies,
        errors,
    };
    let mut config = Config::default();
    let settings = &mut config.settings;
    if let Some(sets) = &file.extends {
        settings.extends = sets.iter().copied().map(seed_set).collect();
    }
    if let Some(text) = &file.kubernetes_version {
        match KubernetesVersion::parse(text) {
            Some(version) => settings.kubernetes_version = version,
            None => reader.error(
                &["kubernetesVersion"],
                "`kubernetesVersion` must be a version in quotes".to_owned(),
                Some("for example \"1.34\"".to_owned()),
            ),
        }
    }
    config.stages = reader.stages(&file.stages);
    for (id, policy) in &file.policies {
        let policy = reader.policy(id, policy);
        settings.policies.insert(id.clone(), policy);
    }
    for (i, waiver) in file.waivers.iter().enumerate() {
        settings.waivers.push(reader.waiver(i, waiver));
    }
    settings.stages = reader.stage_rules(&file, &config.stages);
    for (i, user) in file.restore_writers.iter().enumerate() {
        reader.full_name(&["restoreWriters", &i.to_string()], user);
    }
    if let Some(user) = &file.rollouts_controller {
        reader.full_name(&["rolloutsController"], user);
    }
    settings.restore_writers = file.restore_writers;
    settings.rollouts_controller = Some(
        file.rollouts_controller
            .unwrap_or_else(|| ROLLOUTS_CONTROLLER.to_owned()),
    );
    for (i, external) in file.external.iter().enumerate() {
        config.external.extend(reader.external(i, external));
    }
    for (i, unrendered) in file.unrendered.iter().enumerate() {
        config.unrendered.push(Unrendered {
            paths: reader.globs(&["unrendered", &i.to_string(), "paths"], &unrendered.paths),
            reason: unrendered.reason.clone(),
        });
    }
    for (i, kustomize) in file.kustomize.iter().enumerate() {
        config.kustomize.push(Kustomize {
            paths: reader.globs(&["kustomize", &i.to_string(), "paths"], &kustomize.paths),
            reads_any_file: matches!(kustomize.load_restrictions, model::LoadRestrictions::None),
        });
    }
    config.self_urls = file.self_urls;
    config
}

fn seed_set(set: model::SeedSet) -> SeedSet {
    match set {
        model::SeedSet::Recommended => SeedSet::Recommended,
        model::SeedSet::Strict => SeedSet::Strict,
        model::SeedSet::Baseline => SeedSet::Baseline,
        model::SeedSet::Restricted => SeedSet::Restricted,
        model::SeedSet::None => SeedSet::None,
    }
}

fn enforcement(enforcement: model::Enforcement) -> Enforcement {
    match enforcement {
        model::Enforcement::Deny => Enforcement::Deny,
        model::Enforcement::Warn => Enforcement::Warn,
        model::Enforcement::Audit => Enforcement::Audit,
        model::Enforcement::Off => Enforcement::Off,
    }
}

fn severity(severity: model::Severity) -> Severity {
    match severity {
        model::Severity::Critical => Severity::Critical,
        model::Severity::High => Severity::High,
        model::Severity::Medium => Severity::Medium,
        model::Severity::Low => Severity::Low,
    }
}

struct Reader<'r> {
    root: &'r Node,
    policies: &'r [&'r Meta],
    errors: &'r mut Vec<ConfigError>,
}

impl<'r> Reader<'r> {
    fn node(&self, path: &[&str]) -> &'r Node {
        let pointer = path.iter().fold(Pointer::root(), Pointer::join);
        self.root.nearest(&pointer)
    }

    fn error(&mut self, path: &[&str], message: String, help: Option<String>) {
        let mark = self.node(path).mark;
        self.error_at(mark, message, help);
    }

    fn error_at(&mut self, mark: Mark, message: String, help: Option<String>) {
        self.errors.push(ConfigError {
            mark,
            message,
            help,
        });
    }

    /// The place of a key.
    fn key_mark(&self, path: &[&str], key: &str) -> Mark {
        let node = self.node(path);
        node.as_map()
            .and_then(|map| map.entry(key))
            .map_or(node.mark, |entry| entry.key_mark)
    }

    fn globs(&mut self, path: &[&str], patterns: &[String]) -> Vec<PathGlob> {
        let nodes = self.node(path).items();
        let mut globs = Vec::new();
        for (pattern, node) in patterns.iter().zip(nodes) {
            match PathGlob::new(pattern, node.mark) {
                Ok(glob) => globs.push(glob),
                Err(error) => self.error_at(node.mark, error.to_string(), None),
            }
        }
        globs
    }

    fn name_globs(&mut self, path: &[&str], patterns: &[String]) -> Vec<NameGlob> {
        let nodes = self.node(path).items();
        let mut globs = Vec::new();
        for (pattern, node) in patterns.iter().zip(nodes) {
            match NameGlob::new(pattern) {
                Ok(glob) => globs.push(glob),
                Err(error) => self.error_at(node.mark, error.to_string(), None),
            }
        }
        globs
    }

    fn name_glob(&mut self, path: &[&str], pattern: Option<&String>) -> Option<NameGlob> {
        match NameGlob::new(pattern?) {
            Ok(glob) => Some(glob),
            Err(error) => {
                self.error(path, error.to_string(), None);
                None
            }
        }
    }

    /// Says so where a user is not named in full: a pattern or a group would let in more than was
    /// meant, or nobody.
    fn full_name(&mut self, path: &[&str], user: &str) {
        const GROUPS: [&str; 4] = ["masters", "authenticated", "unauthenticated", "nodes"];
        let is_group = user.strip_prefix("system:").is_some_and(|rest| {
            GROUPS.contains(&rest)
                || rest == "serviceaccounts"
                || rest.starts_with("serviceaccounts:")
        });
        if user.trim().is_empty() || user.contains(['*', '?']) || is_group {
            self.error(
                path,
                format!("{user:?} is not the full name of a user"),
                Some("name each user in full, without patterns and groups".to_owned()),
            );
        }
    }

    /// Says so where there is no such policy.
    fn known_policy(&mut self, mark: Mark, id: &str) {
        if !self.policies.iter().any(|meta| meta.id == id) {
            let help = suggest(id, self.policies.iter().map(|meta| &*meta.id));
            self.error_at(mark, format!("there is no policy {id:?}"), Some(help));
        }
    }

    fn stages(&mut self, entries: &[model::Stage]) -> Vec<StageConfig> {
        let mut stages: Vec<StageConfig> = Vec::new();
        let mut after: Vec<Option<(String, Mark)>> = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let i = i.to_string();
            let mut stage = Stage::named(StageName::any(&entry.name));
            if [Stage::SHARED, Stage::DEFAULT].contains(&stage.name.as_str()) {
                self.error(
                    &["stages", &i, "name"],
                    format!(
                        "{:?} is the name of a stage that is always there",
                        stage.name
                    ),
                    Some("give the stage another name".to_owned()),
                );
            }
            if stages.iter().any(|s| s.stage.name == stage.name) {
                self.error(
                    &["stages", &i, "name"],
                    format!("the stage {} is configured twice", stage.name),
                    None,
                );
                continue;
            }
            if entry.tier.is_some() {
                stage.tier = Tier::Production;
            }
            stage.ceiling = entry.enforcement.map(enforcement);
            stage.annotation_waivers = self.annotation_waivers(&i, entry);
            let selector = entry
                .namespace_selector
                .is_some()
                .then(|| self.node(&["stages", &i, "namespaceSelector"]).clone());
            stages.push(StageConfig {
                stage,
                paths: self.globs(&["stages", &i, "paths"], &entry.paths),
                namespaces: self.name_globs(&["stages", &i, "namespaces"], &entry.namespaces),
                namespace_selector: selector,
            });
            let mark = self.node(&["stages", &i, "after"]).mark;
            let name = entry.after.as_ref().map(|name| StageName::any(name).name);
            after.push(name.map(|name| (name, mark)));
        }
        self.order(&mut stages, &after);
        stages.sort_by(|a, b| a.stage.promotion_order(&b.stage));
        stages
    }

    fn annotation_waivers(&mut self, i: &str, entry: &model::Stage) -> Option<AnnotationWaivers> {
        use model::AnnotationWaiversWord;
        Some(match entry.annotation_waivers.as_ref()? {
            model::AnnotationWaivers::Word(AnnotationWaiversWord::All) => AnnotationWaivers::All,
            model::AnnotationWaivers::Word(AnnotationWaiversWord::None) => AnnotationWaivers::None,
            model::AnnotationWaivers::Ids(ids) => {
                let nodes = self.node(&["stages", i, "annotationWaivers"]).items();
                for (id, node) in ids.iter().zip(nodes) {
                    self.known_policy(node.mark, id);
                    if self.policies.iter().any(|p| p.id == *id && p.guarded) {
                        self.error_at(
                            node.mark,
                            format!("{id} cannot be waived by an annotation"),
                            Some("waive it in the configuration, under `waivers`".to_owned()),
                        );
                    }
                }
                AnnotationWaivers::Only(ids.clone())
            }
        })
    }

    /// Puts every stage behind the one that it names in `after`.
    fn order(&mut self, stages: &mut [StageConfig], after: &[Option<(String, Mark)>]) {
        for (name, mark) in after.iter().flatten() {
            if !stages.iter().any(|s| s.stage.name == *name) {
                let help = suggest(name, stages.iter().map(|s| s.stage.name.as_str()));
                let message = format!("there is no stage {name:?} to come after");
                self.error_at(*mark, message, Some(help));
            }
        }
        // Each round settles at least one more stage of a chain.
        for round in 0..=stages.len() {
            let mut changed = None;
            for (i, follows) in after.iter().enumerate() {
                let Some((name, mark)) = follows else {
                    continue;
                };
                let before = stages
                    .iter()
                    .find(|s| s.stage.name == *name)
                    .map(|s| s.stage.order);
                if let Some(before) = before
                    && stages[i].stage.order <= before
                {
                    stages[i].stage.order = before + 1;
                    changed = Some(*mark);
                }
            }
            match changed {
                None => return,
                Some(mark) if round == stages.len() => {
                    let message = "stages come after each other in a circle".to_owned();
                    self.error_at(mark, message, None);
                }
                Some(_) => {}
            }
        }
    }

    fn policy(&mut self, id: &str, policy: &model::Policy) -> PolicySettings {
        let parameters = |node: &Node| node.get("parameters").cloned();
        let mut settings = PolicySettings {
            mark: self.key_mark(&["policies"], id),
            enforcement: policy.enforcement.map(enforcement),
            admission: policy.admission.map(enforcement),
            severity: policy.severity.map(severity),
            parameters: parameters(self.node(&["policies", id])),
            on_error: policy.on_error.map(enforcement),
            on_timeout: policy.on_timeout.map(enforcement),
            on_overload: policy.on_overload.map(enforcement),
            on_stale: policy.on_stale.map(enforcement),
            ..PolicySettings::default()
        };
        for (stage, differs) in &policy.stages {
            let name = StageName::any(stage).name;
            let mark = self.key_mark(&["policies", id, "stages"], stage);
            let differs = StageOverride {
                mark,
                enforcement: differs.enforcement.map(enforcement),
                admission: differs.admission.map(enforcement),
                severity: differs.severity.map(severity),
                parameters: parameters(self.node(&["policies", id, "stages", stage])),
            };
            if settings.stages.insert(name.clone(), differs).is_some() {
                let message = format!("the stage {name} stands twice, once by an alias");
                self.error_at(mark, message, None);
            }
        }
        settings
    }

    fn waiver(&mut self, i: usize, waiver: &model::Waiver) -> Waiver {
        let i = i.to_string();
        let policies = self.name_globs(&["waivers", &i, "policies"], &waiver.policies);
        let nodes = self.node(&["waivers", &i, "policies"]).items();
        for (glob, node) in policies.iter().zip(nodes) {
            if !self.policies.iter().any(|meta| glob.matches(&meta.id)) {
                self.known_policy(node.mark, glob.pattern());
            }
        }
        let mut objects = Vec::new();
        for (j, pattern) in waiver.objects.iter().enumerate() {
            let j = j.to_string();
            if self
                .node(&["waivers", &i, "objects", &j])
                .entries()
                .is_empty()
            {
                self.error(
                    &["waivers", &i, "objects", &j],
                    "an item of `objects` names nothing, which would waive everything".to_owned(),
                    Some("give it a kind, a name or a namespace".to_owned()),
                );
            }
            let mut glob =
                |key: &str, text| self.name_glob(&["waivers", &i, "objects", &j, key], text);
            objects.push(ObjectPattern {
                api_version: glob("apiVersion", pattern.api_version.as_ref()),
                kind: glob("kind", pattern.kind.as_ref()),
                namespace: glob("namespace", pattern.namespace.as_ref()),
                name: glob("name", pattern.name.as_ref()),
            });
        }
        let expires = waiver.expires.as_ref().and_then(|text| {
            let date = text.parse().ok();
            if date.is_none() {
                self.error(
                    &["waivers", &i, "expires"],
                    "`expires` must be a date".to_owned(),
                    Some("for example 2027-03-31".to_owned()),
                );
            }
            date
        });
        let reason = waiver.reason.as_ref();
        Waiver {
            mark: self.node(&["waivers", &i]).mark,
            policies,
            objects,
            paths: self.globs(&["waivers", &i, "paths"], &waiver.paths),
            stages: names(&waiver.stages),
            reason: reason.filter(|r| !r.trim().is_empty()).cloned(),
            expires,
        }
    }

    fn stage_rules(&mut self, file: &model::File, stages: &[StageConfig]) -> StageRules {
        let mut named = |key: &str, name: Option<&String>| {
            let folded = StageName::any(name?).name;
            if !stages.iter().any(|s| s.stage.name == folded) {
                let names = stages.iter().map(|s| s.stage.name.as_str());
                let help = if stages.is_empty() {
                    "name the stages under `stages`".to_owned()
                } else {
                    suggest(&folded, names)
                };
                self.error(&[key], format!("there is no stage {folded:?}"), Some(help));
            }
            Some(folded)
        };
        StageRules {
            default: named("defaultStage", file.default_stage.as_ref()),
            cluster_scoped: named("clusterScopedStage", file.cluster_scoped_stage.as_ref()),
            stages: stages
                .iter()
                .map(|stage| StageRule {
                    stage: stage.stage.clone(),
                    namespaces: stage.namespaces.clone(),
                    selector: stage.namespace_selector.clone(),
                })
                .collect(),
        }
    }

    /// An object that is not in the repository, from its manifest or its name tags.
    fn external(&mut self, i: usize, external: &model::External) -> Option<External> {
        let i = i.to_string();
        let mut node = self.node(&["external", &i]).clone();
        let mark = node.mark;
        let Value::Object(object) = &mut node.value else {
            return None;
        };
        for key in ["name", "namespace", "stages"] {
            object.remove(key);
        }
        let entry = |key: &'static str, value: Value| Entry {
            key: Str::const_new(key),
            key_mark: mark,
            node: Node { mark, value },
        };
        if object.get("metadata").is_none() {
            object.insert(entry("metadata", Value::Object(Map::new())));
        }
        if let Some(Value::Object(metadata)) = object.get_mut("metadata").map(|m| &mut m.value) {
            let given = [("name", &external.name), ("namespace", &external.namespace)];
            for (key, text) in given {
                if let Some(text) = text {
                    metadata.insert(entry(key, Value::String(Str::new(text))));
                }
            }
        }
        let origin = Arc::new(Origin {
            renderer: "external",
            ..Origin::default()
        });
        let object = Object::new(node, origin)?;
        if object.reference.name.is_empty() {
            let message = "an item of `external` has no `name`".to_owned();
            self.error(&["external", &i], message, None);
        }
        Some(External {
            mark,
            object: Arc::new(object),
            stages: names(&external.stages),
        })
    }
}

fn names(stages: &[String]) -> Vec<String> {
    stages
        .iter()
        .map(|name| StageName::any(name).name)
        .collect()
}
