//! Parser events to a tree, with go-yaml's meaning of scalars, keys, aliases and merges.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ScalarStyle, StructureStyle, Tag};
use stagegate_core::{Entry, FileId, MAX_DEPTH, MapBuilder, Mark, Node, Number, Str, Value};

use crate::yaml::offset;
use crate::{Problem, ProblemKind, Profile, scalar};

/// Builds one document.
pub(crate) struct Builder<'a> {
    file: FileId,
    base: usize,
    text: &'a str,
    profile: Profile,
    problems: &'a mut Vec<Problem>,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchor>,
    /// How many nodes were made, and how many of them by aliases.
    nodes: Work,
    aliased: Work,
    /// End of the last token, where the search for a block scalar's header begins.
    behind: usize,
    /// There is something that programs read in different ways: see [`crate::ambiguities`].
    pub(crate) ambiguous: bool,
}

/// Counts nodes, as go-yaml counts its decode operations.
type Work = u64;

struct Anchor {
    /// None while the node is still being built: an alias to it would contain itself.
    node: Option<Node>,
    size: Work,
}

struct Frame {
    start: usize,
    /// Written in brackets.
    flow: bool,
    anchor: usize,
    /// Count of nodes before this one, for the size of what an anchor names.
    nodes_before: Work,
    collection: Collection,
}

enum Collection {
    Sequence(Vec<Node>),
    Mapping {
        map: MapBuilder,
        key: Option<Key>,
        /// kustomize: explicit keys win over merged ones, wherever they stand.
        merges: Vec<Node>,
        merged: bool,
    },
}

enum Key {
    Name(Str, Mark),
    /// `<<`
    Merge(Mark),
}

type Result<T> = std::result::Result<T, Problem>;

impl<'a> Builder<'a> {
    pub(crate) fn new(
        file: FileId,
        base: usize,
        text: &'a str,
        profile: Profile,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Builder {
            file,
            base,
            text,
            profile,
            problems,
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            aliased: 0,
            behind: 0,
            ambiguous: false,
        }
    }

    /// The finished value, once.
    pub(crate) fn take_root(&mut self) -> Option<Node> {
        self.root.take()
    }

    /// Notes a second document that kubectl would not find.
    pub(crate) fn ignored(&mut self, mark: Mark) {
        self.problems.push(Problem {
            mark,
            message: "kubectl ignores this document: begin it with `---` on a line of its own, \
                      ended by a line feed"
                .to_owned(),
            kind: ProblemKind::Ignored,
        });
    }

    pub(crate) fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        (start, end): (usize, usize),
    ) -> Result<()> {
        let is_key = self.expects_key();
        let is_merge = text == "<<"
            && is_key
            && match tag {
                Some(tag) => standard(tag).as_deref() == Some("merge"),
                None => style == ScalarStyle::Plain,
            };
        let (start, end) = match style {
            // The parser begins at the content and ends where it saw that there is no more.
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let start = self.header(start);
                let raw = self.text.get(start..end).unwrap_or_default();
                (start, start + raw.trim_ascii_end().len())
            }
            _ => (start, end),
        };
        let mark = self.mark(start, end);
        self.check_scalar(style, start, end)?;
        self.behind = end;
        self.nodes += 1;
        self.ambiguous |= is_merge || (style == ScalarStyle::Plain && scalar::is_old_boolean(text));
        if is_merge {
            self.set_key(Key::Merge(mark));
            return Ok(());
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text, self.profile),
            None => Ok(Value::String(Str::new(text))),
            Some(tag) => match standard(tag) {
                Some(suffix) => scalar::tagged(&suffix, text, self.profile),
                None => Ok(Value::String(Str::new(text))),
            },
        };
        let value = value.map_err(|why| self.problem(mark, why.to_owned()))?;
        let node = Node { mark, value };
        self.remember(anchor, &node, 1);
        self.add(node)
    }

    pub(crate) fn alias(&mut self, id: usize, (start, end): (usize, usize)) -> Result<()> {
        let mark = self.mark(start, end);
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(self.problem(mark, "no such anchor".to_owned()));
        };
        let Some(node) = &anchor.node else {
            return Err(self.problem(mark, "the anchor's value contains itself".to_owned()));
        };
        if matches!(node.value, Value::Array(_)) && self.expects_merged() {
            return Err(self.problem(
                mark,
                "`<<` takes no alias of a list; list the aliases".to_owned(),
            ));
        }
        let size = anchor.size;
        let copy = if self.would_be_excessive(size) {
            None
        } else {
            Some(node.clone())
        };
        let Some(node) = copy else {
            let message = "aliases make too much of this document: kubectl refuses it as excessive";
            return Err(self.problem(mark, message.to_owned()));
        };
        self.nodes += 1 + size;
        self.aliased += size;
        self.behind = end;
        self.add(node)
    }

    /// go-yaml's bound, asked before anything is copied: the larger the document, the smaller the
    /// share that aliases may have.
    fn would_be_excessive(&self, size: Work) -> bool {
        const LOW: f64 = 400_000.0;
        const HIGH: f64 = 4_000_000.0;
        // The document itself and the alias count too.
        let (nodes, aliased) = (self.nodes + size + 2, self.aliased + size);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (all, copied) = (nodes as f64, aliased as f64);
        let allowed = 0.99 - 0.89 * ((all - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        aliased > 100 && nodes > 1000 && copied / all > allowed
    }

    fn expects_merged(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                collection: Collection::Mapping {
                    key: Some(Key::Merge(_)),
                    ..
                },
                ..
            })
        )
    }

    pub(crate) fn start_sequence(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        (start, end): (usize, usize),
    ) -> Result<()> {
        // The parser lets a list that is not indented begin behind its first dash. Only the value of
        // a key can be such a list.
        let dash = self.text[..start].trim_end_matches(' ');
        let is_value = matches!(
            self.stack.last(),
            Some(Frame {
                flow: false,
                collection: Collection::Mapping { .. },
                ..
            })
        );
        let behind_dash = style == StructureStyle::Block && is_value && dash.ends_with('-');
        let start = if behind_dash { dash.len() - 1 } else { start };
        self.start(
            style,
            anchor,
            (start, end),
            Collection::Sequence(Vec::new()),
        )
    }

    pub(crate) fn start_mapping(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        range: (usize, usize),
    ) -> Result<()> {
        let collection = Collection::Mapping {
            map: MapBuilder::default(),
            key: None,
            merges: Vec::new(),
            merged: false,
        };
        self.start(style, anchor, range, collection)
    }

    fn start(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        (start, end): (usize, usize),
        collection: Collection,
    ) -> Result<()> {
        // The parser bounds block and flow nesting one by one; this bounds their sum.
        if self.stack.len() >= MAX_DEPTH {
            let mark = self.mark(start, start + 1);
            return Err(self.problem(mark, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchor {
                    node: None,
                    size: 0,
                },
            );
        }
        self.behind = end;
        self.stack.push(Frame {
            start,
            flow: style == StructureStyle::Flow,
            anchor,
            nodes_before: self.nodes,
            collection,
        });
        self.nodes += 1;
        Ok(())
    }

    pub(crate) fn end(&mut self, (_, end): (usize, usize)) -> Result<()> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        // Flow collections end with a bracket; block collections with their last child, while the
        // parser reports the token behind them.
        if frame.flow {
            self.behind = end;
        }
        let mark = self.mark(frame.start, self.behind);
        let value = match frame.collection {
            Collection::Sequence(items) => Value::Array(items),
            Collection::Mapping {
                mut map, merges, ..
            } => {
                for merge in merges {
                    self.merge(&mut map, &merge, true)?;
                }
                Value::Object(map.finish())
            }
        };
        let node = Node { mark, value };
        self.remember(frame.anchor, &node, self.nodes - frame.nodes_before);
        self.add(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node, size: Work) {
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchor {
                    node: Some(node.clone()),
                    size,
                },
            );
        }
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                collection: Collection::Mapping { key: None, .. },
                ..
            })
        )
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Frame {
            collection: Collection::Mapping { key, .. },
            ..
        }) = self.stack.last_mut()
        {
            *key = Some(new);
        }
    }

    /// Puts a finished node where it belongs: a key, a value, an item, or the document.
    fn add(&mut self, node: Node) -> Result<()> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let (map, key) = match &mut frame.collection {
            Collection::Sequence(items) => {
                items.push(node);
                return Ok(());
            }
            Collection::Mapping { map, key, .. } => (map, key),
        };
        match key.take() {
            None => {
                let mark = node.mark;
                let name = key_text(node, self.profile)
                    .map_err(|why| self.problem(mark, why.to_owned()))?;
                self.set_key(Key::Name(name, mark));
                Ok(())
            }
            Some(Key::Merge(mark)) => self.merge_key(node, mark),
            Some(Key::Name(name, key_mark)) => {
                let first_byte = offset(self.base + frame.start);
                let replaced = map.push(Entry {
                    key: name.clone(),
                    key_mark,
                    node,
                });
                // What an earlier `<<` brought in lies before this mapping; it may be replaced.
                if let Some(replaced) = replaced
                    && replaced.key_mark.start >= first_byte
                {
                    let problem = self.duplicate(&name, key_mark, replaced.key_mark);
                    self.problems.push(problem);
                }
                Ok(())
            }
        }
    }

    fn duplicate(&self, name: &str, mark: Mark, first: Mark) -> Problem {
        let line = |mark: Mark| {
            let offset = (mark.start as usize)
                .saturating_sub(self.base)
                .min(self.text.len());
            memchr::memchr_iter(b'\n', &self.text.as_bytes()[..offset]).count()
        };
        let above = line(mark).saturating_sub(line(first));
        let place = match above {
            0 => "on this line already".to_owned(),
            1 => "on the line above already".to_owned(),
            n => format!("{n} lines above already"),
        };
        Problem {
            mark,
            message: format!(
                "the key {name:?} stands {place}: kubectl keeps the last value, kustomize refuses \
                 the file"
            ),
            kind: ProblemKind::DuplicateKey,
        }
    }

    fn merge_key(&mut self, node: Node, mark: Mark) -> Result<()> {
        let Some(Frame {
            collection:
                Collection::Mapping {
                    map,
                    merges,
                    merged,
                    ..
                },
            ..
        }) = self.stack.last_mut()
        else {
            return Ok(());
        };
        if self.profile == Profile::Kustomize {
            if *merged {
                return Err(self.problem(mark, "the key \"<<\" stands twice".to_owned()));
            }
            *merged = true;
            merges.push(node);
            return Ok(());
        }
        let mut taken = std::mem::take(map);
        self.merge(&mut taken, &node, false)?;
        if let Some(Frame {
            collection: Collection::Mapping { map, .. },
            ..
        }) = self.stack.last_mut()
        {
            *map = taken;
        }
        Ok(())
    }

    /// Merges the entries of a mapping, or of a list of mappings of which the first wins.
    /// `kubectl apply` lets merged keys replace those above them; kustomize never does.
    fn merge(&self, map: &mut MapBuilder, from: &Node, keep: bool) -> Result<()> {
        const WRONG: &str = "`<<` merges a mapping or a list of mappings";
        match &from.value {
            Value::Object(entries) => {
                for entry in entries.iter() {
                    if !keep || map.position(&entry.key).is_none() {
                        map.push(entry.clone());
                    }
                }
                Ok(())
            }
            Value::Array(items) => {
                let merge_one = |map: &mut MapBuilder, item: &Node| match item.value {
                    Value::Object(_) => self.merge(map, item, keep),
                    _ => Err(self.problem(item.mark, WRONG.to_owned())),
                };
                if keep {
                    items.iter().try_for_each(|item| merge_one(map, item))
                } else {
                    items.iter().rev().try_for_each(|item| merge_one(map, item))
                }
            }
            _ => Err(self.problem(from.mark, WRONG.to_owned())),
        }
    }

    /// What granit-parser accepts in a scalar and kubectl does not.
    fn check_scalar(&self, style: ScalarStyle, start: usize, end: usize) -> Result<()> {
        let raw = self.text.get(start..end).unwrap_or_default();
        if style == ScalarStyle::DoubleQuoted
            && let Some(at) = bad_escape(raw)
        {
            let mark = self.mark(start + at, start + at + 2);
            return Err(self.problem(
                mark,
                "an escape of JSON that YAML does not have (`\\/`, or half of a surrogate pair)"
                    .to_owned(),
            ));
        }
        // YAML 1.1 ends a plain scalar at a question mark in a flow collection.
        if style == ScalarStyle::Plain
            && raw.get(1..).is_some_and(|rest| rest.contains('?'))
            && self.stack.last().is_some_and(|f| f.flow)
        {
            return Err(self.problem(
                self.mark(start, end),
                "a question mark in an unquoted text between brackets: kubectl refuses it; quote \
                 the text"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Where the innermost open collection begins, if it is written in brackets.
    pub(crate) fn flow_start(&self) -> Option<usize> {
        self.stack.last().filter(|f| f.flow).map(|f| f.start)
    }

    /// The place of the `|` or `>` of a block scalar whose content begins at `content`.
    fn header(&self, content: usize) -> usize {
        let between = self.text.get(self.behind..content).unwrap_or_default();
        between
            .find(['|', '>'])
            .map_or(content, |i| self.behind + i)
    }

    fn mark(&self, start: usize, end: usize) -> Mark {
        Mark::new(
            self.file,
            offset(self.base + start),
            offset(self.base + end),
        )
    }

    fn problem(&self, mark: Mark, message: String) -> Problem {
        Problem {
            mark,
            message,
            kind: ProblemKind::Unreadable,
        }
    }
}

/// The name of a tag of YAML 1.1, such as `str` or `merge`; none for an application's own.
fn standard(tag: &Tag) -> Option<Cow<'_, str>> {
    tag.suffix_in_namespace("tag:yaml.org,2002:")
}

/// The text of a key: scalars become the text that JSON needs.
fn key_text(node: Node, profile: Profile) -> std::result::Result<Str, &'static str> {
    match node.value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) if profile == Profile::Kustomize => {
            Err("kustomize refuses a key that is no text; quote it")
        }
        Value::Bool(b) => Ok(Str::const_new(if b { "true" } else { "false" })),
        Value::Number(Number::Int(i)) => Ok(Str::from(i.to_string())),
        Value::Number(Number::Float(float)) => Ok(Str::from(scalar::float_key(float))),
        Value::Null => Err("a key must not be null; quote it if it is a text"),
        Value::Array(_) | Value::Object(_) => Err("a key must be a scalar"),
    }
}

/// The offset of an escape that go-yaml does not know.
fn bad_escape(raw: &str) -> Option<usize> {
    let bytes = raw.as_bytes();
    let mut at = memchr::memchr(b'\\', bytes)?;
    loop {
        match bytes.get(at + 1)? {
            b'/' => return Some(at),
            b'u' if matches!(
                bytes.get(at + 2..at + 4),
                Some([b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'])
            ) =>
            {
                return Some(at);
            }
            _ => {}
        }
        at = at + 2 + memchr::memchr(b'\\', bytes.get(at + 2..)?)?;
    }
}
