//! `vars:` put values of fields in the place of `$(NAME)`.

use std::collections::BTreeMap;

use stagegate_core::{Mark, Node, Number, Str, Value};

use super::Context;
use super::fields::{Configuration, Make, Misfit};
use super::id::Id;
use super::replacements::smart_split;
use super::resource::Resource;
use super::spec::Var;
use crate::Failure;

/// Variables by name.
pub(crate) type Vars = BTreeMap<Str, Var>;

impl Context<'_> {
    /// Adds the variables of a kustomization, and notes the objects that they read.
    pub(crate) fn declare_vars(
        &self,
        resources: &mut [Resource],
        known: &mut Vars,
        vars: &[Var],
    ) -> Result<(), Vec<Failure>> {
        for var in vars {
            let id = Id {
                of: var.of.clone(),
                name: var.object.clone(),
                namespace: var.namespace.clone(),
            };
            let is_exact = !var.namespace.is_empty() || id.of.is_cluster_scoped();
            let wanted = id.clone().key();
            let is_meant = |resource: &Resource| {
                if is_exact {
                    return resource.is_or_was(&wanted);
                }
                let ids = resource.ids();
                ids.iter()
                    .any(|other| other.of == id.of && other.name == id.name)
            };
            let mut found = resources.iter_mut().filter(|r| is_meant(r));
            let first = found.next();
            if found.next().is_some() {
                let message = format!("found several resId matches for var {}", var.name.value);
                return Err(vec![self.failure(var.name.mark, message)]);
            }
            if let Some(resource) = first {
                resource.vars.push(var.name.value.clone());
            }
        }
        for var in vars {
            self.add_var(known, var)?;
        }
        Ok(())
    }

    /// Adds a variable that a base or the kustomization declares.
    pub(crate) fn add_var(&self, known: &mut Vars, var: &Var) -> Result<(), Vec<Failure>> {
        if known.insert(var.name.value.clone(), var.clone()).is_some() {
            let message = format!("var '{}' already encountered", var.name.value);
            return Err(vec![self.failure(var.name.mark, message)]);
        }
        Ok(())
    }

    /// Puts the values of variables in their places.
    pub(crate) fn resolve_vars(
        &self,
        resources: &mut [Resource],
        vars: &Vars,
        configuration: &Configuration,
    ) -> Result<(), Vec<Failure>> {
        if vars.is_empty() {
            return Ok(());
        }
        let mut values: BTreeMap<&Str, Node> = BTreeMap::new();
        for (name, var) in vars {
            let holder = resources.iter().find(|r| r.vars.contains(name));
            let Some(holder) = holder else {
                if self.incomplete {
                    continue;
                }
                let message = format!(
                    "var '{name}' cannot be mapped to a field in the set of known resources"
                );
                return Err(vec![self.failure(var.name.mark, message)]);
            };
            let path = with_indexes(smart_split(&var.field_path));
            let Some(value) = at_path(&holder.node, &path) else {
                let message =
                    format!("field specified in var '{name}' not found in corresponding resource");
                return Err(vec![self.failure(var.name.mark, message)]);
            };
            values.insert(name, value.clone());
        }
        for resource in resources {
            let of = resource.id().of;
            let mut overridden = Vec::new();
            let mut set = |node: &mut Node| self.expand(node, &values, &mut overridden);
            for field in configuration
                .var_references
                .iter()
                .filter(|f| of.fits(&f.of))
            {
                self.set(resource, field, Make::Nothing, Mark::NONE, &mut set)?;
            }
            for (by, _) in &overridden {
                resource.spread_from(*by);
            }
            resource.history.overridden.extend(overridden);
        }
        Ok(())
    }

    fn expand(
        &self,
        node: &mut Node,
        values: &BTreeMap<&Str, Node>,
        overridden: &mut Vec<(Mark, Mark)>,
    ) -> Result<(), Misfit> {
        let mut one = |node: &mut Node| {
            if let Some(new) = replaced(node, values) {
                if new.mark != node.mark {
                    overridden.push((new.mark, node.mark));
                }
                *node = new;
            }
        };
        match &mut node.value {
            Value::String(_) => one(node),
            Value::Object(map) => {
                for entry in map.iter_mut().filter(|e| e.node.as_str().is_some()) {
                    one(&mut entry.node);
                }
            }
            Value::Array(items) => {
                for item in items {
                    if item.as_str().is_none() {
                        return Err(Misfit {
                            mark: item.mark,
                            message: "invalid value type expect a string".to_owned(),
                        });
                    }
                    one(item);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A text with its variables replaced; one that is nothing but a variable takes its type.
fn replaced(node: &Node, values: &BTreeMap<&Str, Node>) -> Option<Node> {
    let text = node.as_str().filter(|text| text.contains('$'))?;
    let mut out = String::with_capacity(text.len());
    let mut mark = node.mark;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        if let Some(escaped) = behind.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some(inner) = behind.strip_prefix('(') {
            let Some((name, behind)) = inner.split_once(')') else {
                out.push_str("$(");
                rest = inner;
                continue;
            };
            let value = values.get(&Str::new(name)).filter(|n| is_primitive(n));
            match value {
                Some(value) if text.len() == name.len() + 3 => return Some(value.clone()),
                Some(value) => {
                    out.push_str(&in_text(value));
                    mark = value.mark;
                }
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = behind;
        } else {
            out.push('$');
            rest = behind;
        }
    }
    out.push_str(rest);
    (out != text).then(|| Node {
        mark,
        value: Value::String(out.into()),
    })
}

fn is_primitive(node: &Node) -> bool {
    !matches!(node.value, Value::Object(_) | Value::Array(_))
}

/// A value within a text, as Go's `%v` has it.
fn in_text(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Number(Number::Int(i)) => i.to_string(),
        Value::Number(Number::Float(f)) => super::scalars::go_general(*f, 21),
        _ => String::new(),
    }
}

/// `containers[0]` is a member and an index.
fn with_indexes(path: Vec<String>) -> Vec<String> {
    let mut result = Vec::new();
    for part in path {
        let indexed = part.strip_suffix(']').and_then(|p| p.rsplit_once('['));
        match indexed {
            Some((name, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                if !name.is_empty() {
                    result.push(name.to_owned());
                }
                result.push(index.to_owned());
            }
            _ => result.push(part),
        }
    }
    result
}

fn at_path<'n>(node: &'n Node, path: &[String]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, part| match &node.value {
        Value::Object(map) => map.get(part),
        Value::Array(items) => match part.strip_prefix('[').and_then(|p| p.strip_suffix(']')) {
            Some(matching) => {
                let (key, value) = matching.split_once('=')?;
                items
                    .iter()
                    .find(|item| item.get(key).and_then(Node::as_str) == Some(value))
            }
            None => part.parse::<usize>().ok().and_then(|i| items.get(i)),
        },
        _ => None,
    })
}
