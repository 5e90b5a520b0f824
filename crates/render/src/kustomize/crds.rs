//! `crds:` files: `OpenAPI` definitions of custom resources that say which of their fields hold names,
//! labels and annotations.
//!
//! Source: `api/internal/accumulator/loadconfigfromcrds.go` of kustomize 5.5.0.

use stagegate_core::{Mark, Node};
use stagegate_manifest::{Format, ProblemKind, Profile, load};

use super::Context;
use super::fields::{Configuration, Field, NameReference, merge_fields};
use super::id::Type;
use super::spec::Text;
use crate::Failure;

/// Definitions may refer to each other in circles, on which kustomize never ends.
const DEEPEST: usize = 32;

impl Context<'_> {
    /// What the files say.
    pub(crate) fn crds(&self, paths: &[Text], folder: &str) -> Result<Configuration, Vec<Failure>> {
        let mut configuration = Configuration::default();
        for path in paths {
            let (file, source) = self.read(folder, path)?;
            let loaded = load(file, &source, Format::Yaml, Profile::Apply);
            let unreadable = |p: &&stagegate_manifest::Problem| p.kind == ProblemKind::Unreadable;
            if let Some(problem) = loaded.problems.iter().find(unreadable) {
                return Err(vec![self.failure(problem.mark, &*problem.message)]);
            }
            let beginning = Mark::new(file, 0, 0);
            let Some(definitions) = loaded.documents.first() else {
                return Err(vec![
                    self.failure(beginning, "a file of definitions, and it is empty"),
                ]);
            };
            for definition in definitions.entries() {
                let Some(map) = definition.node.as_map() else {
                    let message = "unable to parse open API definition: a definition is a mapping with a Schema";
                    return Err(vec![
                        self.failure(definition.node.mark, message)
                            .with_help("crds takes OpenAPI definitions; a CustomResourceDefinition belongs under resources"),
                    ]);
                };
                let properties = map
                    .get("Schema")
                    .or(map.get("schema"))
                    .and_then(|s| s.get("properties"));
                let is_type = |p: &&Node| {
                    ["kind", "apiVersion", "metadata"]
                        .iter()
                        .all(|key| p.get(key).is_some())
                };
                if properties.as_ref().is_none_or(|p| !is_type(p)) {
                    continue;
                }
                let kind = definition.key.rsplit('.').next().unwrap_or(&definition.key);
                let of = Type {
                    kind: kind.into(),
                    ..Type::default()
                };
                let mut walk = Walk {
                    definitions,
                    of,
                    configuration: &mut configuration,
                };
                walk.walk(&definition.key, &mut Vec::new());
            }
        }
        Ok(configuration)
    }
}

struct Walk<'a> {
    definitions: &'a Node,
    of: Type,
    configuration: &'a mut Configuration,
}

impl Walk<'_> {
    fn walk(&mut self, name: &str, path: &mut Vec<String>) {
        if path.len() > DEEPEST {
            return;
        }
        let definitions = self.definitions;
        let schema = definitions
            .get(name)
            .and_then(|d| d.get("Schema").or(d.get("schema")));
        let properties = schema.and_then(|schema| schema.get("properties"));
        for property in properties.map_or(&[][..], Node::entries) {
            path.push(property.key.to_string());
            let text = |key: &str| property.node.get(key).and_then(Node::as_str);
            let field = |path: &[String]| Field::new(self.of.clone(), &path.join("/"), false);
            // Fields that are there already count once; they never differ.
            if text("x-kubernetes-annotation").is_some() {
                let _ = merge_fields(&mut self.configuration.common_annotations, &[field(path)]);
            }
            if text("x-kubernetes-label-selector").is_some() {
                let _ = merge_fields(&mut self.configuration.common_labels, &[field(path)]);
            }
            if text("x-kubernetes-identity").is_some() {
                let _ = merge_fields(&mut self.configuration.name_prefix, &[field(path)]);
            }
            if let (Some(version), Some(kind)) = (
                text("x-kubernetes-object-ref-api-version"),
                text("x-kubernetes-object-ref-kind"),
            ) {
                let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
                let mut named = path.clone();
                named.push(key.to_owned());
                let reference = NameReference {
                    target: Type {
                        version: version.into(),
                        kind: kind.into(),
                        ..Type::default()
                    },
                    fields: vec![field(&named)],
                };
                let only = Configuration {
                    name_references: vec![reference],
                    ..Configuration::default()
                };
                let _ = self.configuration.merge(&only);
            }
            if let Some(reference) = text("$ref") {
                let reference = reference.to_owned();
                self.walk(&reference, path);
            }
            path.pop();
        }
    }
}
