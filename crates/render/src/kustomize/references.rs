//! References by name follow the objects that got another one.

use std::collections::{HashMap, HashSet};

use stagegate_core::{Mark, Node, Str, Value};

use super::Context;
use super::fields::{Configuration, Make, Misfit, NameReference};
use super::id::{Id, Type, effective};
use super::resource::{Resource, entry, previous_namespace};
use super::scalars::untyped;
use crate::Failure;

/// An object as something that others may refer to.
struct Candidate {
    id: Id,
    is_cluster_scoped: bool,
    /// Types by which it was known.
    types: Vec<Type>,
    original_namespace: Str,
}

/// All of them, by the names that they had.
struct Candidates<'r> {
    resources: &'r [Resource],
    all: Vec<Candidate>,
    by_name: HashMap<Str, Vec<usize>>,
}

impl<'r> Candidates<'r> {
    fn of(resources: &'r [Resource]) -> Candidates<'r> {
        let mut by_name: HashMap<Str, Vec<usize>> = HashMap::new();
        let all = resources.iter().enumerate().map(|(i, resource)| {
            let id = resource.id();
            let previous: Vec<Id> = resource.previous_ids(&id.of).collect();
            for id in &previous {
                let named = by_name.entry(id.name.clone()).or_default();
                if named.last() != Some(&i) {
                    named.push(i);
                }
            }
            let original = previous.first();
            Candidate {
                is_cluster_scoped: id.of.is_cluster_scoped(),
                original_namespace: original
                    .map_or_else(|| id.effective_namespace(), previous_namespace)
                    .into(),
                types: previous.into_iter().map(|id| id.of).collect(),
                id,
            }
        });
        let all = all.collect();
        Candidates {
            resources,
            all,
            by_name,
        }
    }
}

/// Something that refers to others.
struct Referrer<'r> {
    index: usize,
    candidate: &'r Candidate,
    /// Namespaces of service accounts that a RoleBinding names.
    account_namespaces: HashSet<Str>,
    candidates: &'r Candidates<'r>,
}

impl Context<'_> {
    /// Rewrites every reference by name that the configuration knows.
    pub(crate) fn name_references(
        &self,
        resources: &mut [Resource],
        configuration: &Configuration,
    ) -> Result<(), Vec<Failure>> {
        let before: Vec<Resource>;
        let candidates = {
            // Nodes are changed below, names are not: a copy without the rest.
            before = resources.iter().map(names_only).collect();
            Candidates::of(&before)
        };
        for (index, resource) in resources.iter_mut().enumerate() {
            let original = original_type(resource);
            let wanted = |reference: &NameReference| {
                reference
                    .fields
                    .iter()
                    .any(|field| original.fits(&field.of))
            };
            if !configuration.name_references.iter().any(wanted) {
                continue;
            }
            let referrer = Referrer {
                index,
                candidate: &candidates.all[index],
                account_namespaces: self.account_namespaces(&resource.node)?,
                candidates: &candidates,
            };
            for reference in &configuration.name_references {
                let fields = reference.fields.iter();
                for field in fields.filter(|field| original.fits(&field.of)) {
                    let is_role = field.path.ends_with("roleRef/name");
                    let role = if is_role {
                        role_type(&resource.node)
                    } else {
                        None
                    };
                    let target = (&reference.target, role.as_ref());
                    let mut set = |node: &mut Node| self.refer(node, &referrer, target);
                    self.set(resource, field, Make::Nothing, Mark::NONE, &mut set)?;
                }
            }
        }
        Ok(())
    }

    fn account_namespaces(&self, node: &Node) -> Result<HashSet<Str>, Vec<Failure>> {
        let text = |node: &Node, key: &str| node.get(key).and_then(Node::as_str).map(Str::new);
        let mut found = HashSet::new();
        if text(node, "kind").as_deref() != Some("RoleBinding") {
            return Ok(found);
        }
        for subject in node.get("subjects").map_or(&[][..], Node::items) {
            let namespace = subject.as_map().and_then(|map| map.get("namespace"));
            if let Some(namespace) =
                namespace.filter(|_| text(subject, "kind").as_deref() == Some("ServiceAccount"))
            {
                let Some(text) = namespace.as_str() else {
                    return Err(vec![self.failure(
                        namespace.mark,
                        "the namespace of a service account is a text",
                    )]);
                };
                found.insert(text.into());
            }
        }
        Ok(found)
    }

    /// One place where a name, a list of names, or something with a name stands.
    fn refer(
        &self,
        node: &mut Node,
        referrer: &Referrer<'_>,
        target: (&Type, Option<&Type>),
    ) -> Result<(), Misfit> {
        match &mut node.value {
            Value::Null => Ok(()),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match &item.value {
                Value::Array(_) => Err(Misfit {
                    mark: item.mark,
                    message: "a name, or something with a name, belongs here".to_owned(),
                }),
                _ => self.refer(item, referrer, target),
            }),
            Value::Object(_) => self.refer_by_map(node, referrer, target),
            _ => {
                let old: Str = self.scalars().text(node).as_ref().into();
                let found = referrer.select(&old, target, None, node)?;
                if let Some(found) = found
                    && found.id.name != old
                {
                    node.value = self.in_quotes_of(node, &found.id.name);
                }
                Ok(())
            }
        }
    }

    /// A name with a namespace beside it.
    fn refer_by_map(
        &self,
        node: &mut Node,
        referrer: &Referrer<'_>,
        target: (&Type, Option<&Type>),
    ) -> Result<(), Misfit> {
        let mark = node.mark;
        let Value::Object(map) = &mut node.value else {
            return Ok(());
        };
        let Some(name) = map.get("name") else {
            return Err(Misfit {
                mark,
                message: "path config error; no 'name' field here".to_owned(),
            });
        };
        let old: Str = self.scalars().text(name).as_ref().into();
        let namespace: Option<Str> = map
            .get("namespace")
            .map(|n| self.scalars().text(n).as_ref().into());
        let Some(found) = referrer.select(&old, target, Some(namespace.as_deref()), name)? else {
            return Ok(());
        };
        let (new_name, new_namespace) = (&found.id.name, &found.id.namespace);
        if *new_name == old && new_namespace.is_empty() {
            return Ok(());
        }
        if let Some(name) = map.get_mut("name") {
            name.value = self.in_quotes_of(name, new_name);
        }
        if !new_namespace.is_empty() {
            match map.get_mut("namespace") {
                Some(node) => node.value = self.in_quotes_of(node, new_namespace),
                None => map.insert(entry("namespace", mark, untyped(new_namespace))),
            }
        }
        Ok(())
    }

    /// A text with the quotes of the one that it replaces; without, it may be a number.
    fn in_quotes_of(&self, there: &Node, text: &Str) -> Value {
        if self.scalars().is_quoted(there) {
            Value::String(text.clone())
        } else {
            untyped(text)
        }
    }
}

impl<'r> Referrer<'r> {
    /// The object that a name means. `namespace` is there where a namespace may stand beside the name.
    fn select(
        &self,
        name: &str,
        (target, role): (&Type, Option<&Type>),
        namespace: Option<Option<&str>>,
        at: &Node,
    ) -> Result<Option<&'r Candidate>, Misfit> {
        let candidates = self.candidates;
        let Some(named) = candidates.by_name.get(name) else {
            return Ok(None);
        };
        let with_namespace = namespace.is_some();
        let in_namespace = namespace.flatten().map(|namespace| {
            let has = |original: bool| {
                move |c: &Candidate| {
                    let own = if original {
                        c.original_namespace.as_str()
                    } else {
                        c.id.effective_namespace()
                    };
                    own == namespace
                }
            };
            let reachable = candidates.all.iter().filter(|c| self.reaches(c));
            // By the namespace that was written, if anything had it.
            let original = reachable.into_iter().any(has(true));
            (namespace, original)
        });
        let mut found: Vec<usize> = named
            .iter()
            .copied()
            .filter(|i| {
                let candidate = &candidates.all[*i];
                let fits_namespace = in_namespace.is_none_or(|(namespace, original)| {
                    let own = if original {
                        candidate.original_namespace.as_str()
                    } else {
                        candidate.id.effective_namespace()
                    };
                    own == namespace
                });
                fits_namespace
                    && self.reaches(candidate)
                    && candidate.types.iter().any(|of| of.fits(target))
                    && role.is_none_or(|role| candidate.types.iter().any(|of| of.fits(role)))
                    && self.shares_namespace(candidate)
            })
            .collect();
        if found.len() == 1 {
            return Ok(found.first().map(|i| &candidates.all[*i]));
        }
        let own = &candidates.resources[self.index];
        let shares =
            |i: &usize, empty_fits| candidates.resources[*i].shares_context(own, empty_fits);
        found.retain(|i| shares(i, true));
        if found.len() > 1 {
            found.retain(|i| shares(i, false));
        }
        let Some(first) = found.first().map(|i| &candidates.all[*i]) else {
            return Ok(None);
        };
        let is_same = |i: &usize| {
            let id = &candidates.all[*i].id;
            id.name == first.id.name && (!with_namespace || id.namespace == first.id.namespace)
        };
        if found.iter().all(is_same) {
            return Ok(Some(first));
        }
        let names: Vec<String> = found
            .iter()
            .map(|i| candidates.all[*i].id.to_string())
            .collect();
        Err(Misfit {
            mark: at.mark,
            message: format!("found multiple possible referrals: {}", names.join(", ")),
        })
    }

    /// Whether something can be referred to at all from here.
    fn reaches(&self, candidate: &Candidate) -> bool {
        self.candidate.is_cluster_scoped
            || candidate.is_cluster_scoped
            || candidate.id.effective_namespace() == self.candidate.id.effective_namespace()
            || self.account_namespaces.contains(&candidate.id.namespace)
    }

    fn shares_namespace(&self, candidate: &Candidate) -> bool {
        self.candidate.is_cluster_scoped
            || candidate.is_cluster_scoped
            || candidate.id.of.kind == "ServiceAccount"
            || effective(&candidate.id.namespace) == effective(&self.candidate.id.namespace)
    }
}

/// The type by which field specifications know an object: the first that it had.
fn original_type(resource: &Resource) -> Type {
    resource.original_id().of
}

/// A resource without what does not matter to references.
fn names_only(resource: &Resource) -> Resource {
    let keep = ["apiVersion", "kind", "metadata"];
    let entries = resource
        .node
        .entries()
        .iter()
        .filter(|e| keep.contains(&e.key.as_str()));
    let entries = entries.map(|entry| {
        let mut entry = entry.clone();
        if let Value::Object(metadata) = &mut entry.node.value {
            let named = metadata
                .iter()
                .filter(|e| ["name", "namespace"].contains(&e.key.as_str()));
            *metadata = stagegate_core::Map::from_entries(named.cloned().collect());
        }
        entry
    });
    Resource {
        node: Node {
            mark: resource.node.mark,
            value: Value::Object(stagegate_core::Map::from_entries(entries.collect())),
        },
        previous: resource.previous.clone(),
        prefixes: resource.prefixes.clone(),
        suffixes: resource.suffixes.clone(),
        behavior: resource.behavior,
        needs_hash: false,
        vars: Vec::new(),
        weight: 0,
        shared: Vec::new(),
        history: super::resource::History {
            files: Vec::new(),
            overridden: Vec::new(),
            removed: Vec::new(),
            transformations: Vec::new(),
            ..resource.history.clone()
        },
    }
}

/// The type that a `roleRef` names.
fn role_type(node: &Node) -> Option<Type> {
    let role = node.get("roleRef")?;
    let text = |key: &str| {
        Some(Str::new(
            role.as_map()?.get(key)?.as_str().unwrap_or_default(),
        ))
    };
    Some(Type {
        group: text("apiGroup")?,
        version: Str::default(),
        kind: text("kind")?,
    })
}
