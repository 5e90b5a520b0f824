//! Bounds, so that a kustomization that doubles what it holds with every line ends in an error.

use stagegate_core::{MAX_DEPTH, Map, Mark, Node, Str, Value};

use super::Context;
use super::resource::{Previous, Resource};
use crate::Failure;

/// How many levels of bases may each be as large as a kustomization may be.
const LEVELS: usize = 4;

/// How much memory a value takes, about.
pub(crate) fn weight(node: &Node) -> usize {
    /// A string is stored in place up to this length.
    const IN_PLACE: usize = 24;
    let text = |length: usize| if length > IN_PLACE { length } else { 0 };
    size_of::<Node>()
        + match &node.value {
            Value::String(s) => text(s.len()),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => map
                .iter()
                .map(|e| 40 + text(e.key.len()) + weight(&e.node))
                .sum(),
            _ => 0,
        }
}

/// How much memory objects take, about, with what is remembered of them.
pub(crate) fn weight_of_all(resources: &[Resource]) -> usize {
    let each = resources.iter().map(|resource| {
        let history = &resource.history;
        size_of::<Resource>()
            + resource.weight
            + resource.previous.len() * size_of::<Previous>()
            + (resource.prefixes.len() + resource.suffixes.len()) * size_of::<Str>()
            + (history.overridden.len() + history.styles.len()) * 2 * size_of::<Mark>()
            + history.removed.len() * 4 * size_of::<Mark>()
    });
    each.sum()
}

/// How deep objects and lists nest in a value.
pub(crate) fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => Map::iter(map).map(|e| depth(&e.node)).max(),
        _ => return 0,
    };
    below.unwrap_or_default() + 1
}

/// Whether a value that is put behind so many steps nests deeper than anything may.
pub(crate) fn is_too_deep(steps: usize, value: &Node) -> bool {
    steps + depth(value) > MAX_DEPTH
}

impl Context<'_> {
    /// Whether all objects together are still what a cluster could take.
    ///
    /// # Errors
    /// They are not; `mark` is the place of what made them too much.
    pub(crate) fn bound(&self, resources: &[Resource], mark: Mark) -> Result<(), Vec<Failure>> {
        self.bound_sum(weight_of_all(resources), mark)
    }

    /// The same, of a sum.
    pub(crate) fn bound_sum(&self, sum: usize, mark: Mark) -> Result<(), Vec<Failure>> {
        let most = self.kustomize.memory_limit;
        if sum <= most {
            return Ok(());
        }
        let message = format!("this makes more than {} MiB of objects", most >> 20);
        Err(self.too_much(mark, message))
    }

    /// Whether the same is true of all that was built on the way here: bases are kept for who else
    /// names them. What is named over many levels counts in each.
    pub(crate) fn bound_bases(&self, sum: usize, mark: Mark) -> Result<(), Vec<Failure>> {
        let most = self.kustomize.memory_limit.saturating_mul(LEVELS);
        if sum <= most {
            return Ok(());
        }
        let message = format!(
            "with its bases, this makes more than {} MiB of objects",
            most >> 20
        );
        Err(self.too_much(mark, message))
    }

    fn too_much(&self, mark: Mark, message: String) -> Vec<Failure> {
        vec![
            self.failure(mark, message)
                .with_help("name less, or render it in parts"),
        ]
    }
}
