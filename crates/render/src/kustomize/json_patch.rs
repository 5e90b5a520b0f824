//! JSON patches (RFC 6902), done to nodes that know their place.
//!
//! Where the RFC and kustomize's library (evanphx/json-patch v4) differ, this is the library:
//! replacing a member that is absent adds it. Of a value that goes through JSON, whole numbers beyond
//! 2^53 lose their last digits.

use stagegate_core::{Entry, Map, Mark, Node, Number, Pointer, Str, Value};

use super::limits::{is_too_deep, weight};
use super::resource::History;

/// Why a step cannot be done.
pub(crate) struct Impossible {
    pub(crate) mark: Mark,
    pub(crate) message: String,
}

/// How large an object may be, about as it is in memory, and still be copied into itself. A cluster
/// takes 1.5 MiB.
const LARGEST: usize = 64 << 20;

/// Does the steps of a patch, in their order.
///
/// # Errors
/// The first step that cannot be done.
pub(crate) fn apply(
    node: &mut Node,
    steps: &[Node],
    history: &mut History,
) -> Result<(), Impossible> {
    for step in steps {
        Step { step, history }.apply(node)?;
    }
    through_json(node);
    Ok(())
}

struct Step<'a> {
    step: &'a Node,
    history: &'a mut History,
}

impl Step<'_> {
    fn fail(&self, message: String) -> Impossible {
        Impossible {
            mark: self.path_mark(),
            message,
        }
    }

    fn path_mark(&self) -> Mark {
        self.step.get("path").map_or(self.step.mark, |n| n.mark)
    }

    fn text(&self, key: &str) -> Result<&str, Impossible> {
        let node = self.step.get(key);
        node.and_then(Node::as_str).ok_or_else(|| Impossible {
            mark: node.map_or(self.step.mark, |n| n.mark),
            message: format!("a step of a JSON patch has a {key}, a text"),
        })
    }

    /// The value of the step; null where it has none.
    fn value(&self) -> Node {
        let map = self.step.as_map();
        map.and_then(|map| map.get("value"))
            .cloned()
            .unwrap_or_else(|| Node {
                mark: self.step.mark,
                value: Value::Null,
            })
    }

    fn apply(&mut self, root: &mut Node) -> Result<(), Impossible> {
        let path = self.text("path")?.to_owned();
        match self.text("op")? {
            "add" => {
                let value = self.value();
                self.add(root, &path, value, "add")
            }
            "replace" => self.replace(root, &path),
            "remove" => self.remove(root, &path, "remove").map(drop),
            "move" => {
                let from = self.text("from")?.to_owned();
                let value = self.remove(root, &from, "move")?;
                self.add(root, &path, value, "move")
            }
            "copy" => {
                let from = self.text("from")?.to_owned();
                let value = self.get(root, &from, "copy")?;
                if weight(root) > LARGEST {
                    return Err(self.fail("the object grows too large with this".to_owned()));
                }
                self.add(root, &path, value, "copy")
            }
            "test" => {
                let wanted = self.value();
                let is_equal = if path.is_empty() {
                    *root == wanted
                } else {
                    self.get(root, &path, "test")? == wanted
                };
                if is_equal {
                    return Ok(());
                }
                Err(self.fail(format!("testing value {path} failed")))
            }
            other => Err(Impossible {
                mark: self.step.mark,
                message: format!(
                    "{other:?} is no operation: add, remove, replace, move, copy or test"
                ),
            }),
        }
    }

    /// The parent of what a path names, and the last step of the path.
    fn parent<'n>(
        &self,
        root: &'n mut Node,
        path: &str,
        operation: &str,
    ) -> Result<(&'n mut Node, String), Impossible> {
        let missing = || {
            self.fail(format!(
                "{operation} operation does not apply: doc is missing path: {path}"
            ))
        };
        let pointer = Pointer::parse(path)
            .filter(|p| !p.as_str().is_empty())
            .ok_or_else(missing)?;
        let steps: Vec<String> = pointer.segments().map(Into::into).collect();
        let (last, parents) = steps.split_last().ok_or_else(missing)?;
        let mut node = root;
        for step in parents {
            let below = match &mut node.value {
                Value::Object(map) => map.get_mut(step),
                Value::Array(items) => {
                    let index = index(step, items.len());
                    index.and_then(|i| items.get_mut(i))
                }
                _ => None,
            };
            node = below
                .filter(|n| !matches!(n.value, Value::Null))
                .ok_or_else(missing)?;
        }
        match node.value {
            Value::Object(_) | Value::Array(_) => Ok((node, last.clone())),
            _ => Err(missing()),
        }
    }

    fn add(
        &mut self,
        root: &mut Node,
        path: &str,
        value: Node,
        operation: &str,
    ) -> Result<(), Impossible> {
        let mark = self.path_mark();
        if is_too_deep(path.matches('/').count(), &value) {
            return Err(self.fail(format!("{path} nests too deep with this")));
        }
        let (parent, last) = self.parent(root, path, operation)?;
        match &mut parent.value {
            Value::Object(map) => self.put(map, &last, value, mark),
            Value::Array(items) => {
                let at = if last == "-" {
                    Some(items.len())
                } else {
                    index(&last, items.len() + 1)
                };
                match at {
                    Some(i) => items.insert(i, value),
                    None => return Err(self.no_index(&last, path, items.len())),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, map: &mut Map, key: &str, value: Node, mark: Mark) {
        match map.get_mut(key) {
            Some(there) => {
                if value.mark != there.mark {
                    self.history.overridden.push((value.mark, there.mark));
                }
                *there = value;
            }
            None => map.insert(Entry {
                key: Str::new(key),
                key_mark: mark,
                node: value,
            }),
        }
    }

    fn replace(&mut self, root: &mut Node, path: &str) -> Result<(), Impossible> {
        let value = self.value();
        if path.is_empty() {
            if !matches!(value.value, Value::Object(_)) {
                return Err(self.fail("replace operation value must be an object".to_owned()));
            }
            self.history.overridden.push((value.mark, root.mark));
            *root = value;
            return Ok(());
        }
        let mark = self.path_mark();
        let (parent, last) = self.parent(root, path, "replace")?;
        match &mut parent.value {
            Value::Object(map) => self.put(map, &last, value, mark),
            Value::Array(items) => {
                let Some(item) = index(&last, items.len()).and_then(|i| items.get_mut(i)) else {
                    return Err(self.no_index(&last, path, items.len()));
                };
                self.history.overridden.push((value.mark, item.mark));
                *item = value;
            }
            _ => {}
        }
        Ok(())
    }

    fn remove(&mut self, root: &mut Node, path: &str, operation: &str) -> Result<Node, Impossible> {
        let mark = self.path_mark();
        let (parent, last) = self.parent(root, path, operation)?;
        let held_at = parent.mark;
        match &mut parent.value {
            Value::Object(map) => match map.remove(&last) {
                Some(entry) => {
                    self.history.removed.push((held_at, entry.key, mark));
                    Ok(entry.node)
                }
                None => Err(self.fail(format!(
                    "error in {operation} for path {path}: unable to remove nonexistent key {last:?}"
                ))),
            },
            Value::Array(items) => match index(&last, items.len()) {
                Some(i) => Ok(items.remove(i)),
                None => Err(self.no_index(&last, path, items.len())),
            },
            _ => Err(self.fail(format!("{operation} operation does not apply"))),
        }
    }

    fn get(&self, root: &mut Node, path: &str, operation: &str) -> Result<Node, Impossible> {
        let (parent, last) = self.parent(root, path, operation)?;
        match &parent.value {
            // An absent member counts as null.
            Value::Object(map) => Ok(map.get(&last).cloned().unwrap_or_default()),
            Value::Array(items) => match index(&last, items.len()).and_then(|i| items.get(i)) {
                Some(node) => Ok(node.clone()),
                None => Err(self.no_index(&last, path, items.len())),
            },
            _ => Ok(Node::default()),
        }
    }

    fn no_index(&self, last: &str, path: &str, length: usize) -> Impossible {
        self.fail(format!(
            "error for path {path}: unable to access invalid index {last}; the list has {length} items"
        ))
    }
}

/// An index of a list of this length; negative ones count from the end.
fn index(text: &str, length: usize) -> Option<usize> {
    let index: isize = text.parse().ok()?;
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.checked_sub(index.unsigned_abs())?,
    };
    (index < length).then_some(index)
}

/// What is left of an object that went through Go's JSON.
fn through_json(node: &mut Node) {
    const EXACT: u64 = 1 << 53;
    match &mut node.value {
        Value::Number(Number::Int(i)) if i.unsigned_abs() > EXACT => {
            #[expect(clippy::cast_precision_loss, reason = "the loss is the point")]
            let double = *i as f64;
            if let Some(number) = Number::from_f64(double) {
                node.value = Value::Number(number);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(through_json),
        Value::Object(map) => {
            for entry in map.iter_mut() {
                // A null is written out from here on, and so is no longer one that was left out.
                if matches!(entry.node.value, Value::Null)
                    && entry.node.mark.start == entry.node.mark.end
                {
                    entry.node.mark = entry.key_mark;
                }
                through_json(&mut entry.node);
            }
        }
        _ => {}
    }
}
