//! JSON with places, by jiter's iterator: the grammar is jiter's, the tree and its marks are ours.

use jiter::{Jiter, JiterError, Peek};
use stagegate_core::{Entry, FileId, MAX_DEPTH, MapBuilder, Mark, Node, Number, Str, Value};

use crate::{Loaded, NOT_UTF8, Problem, ProblemKind, Source};

/// Reads one or more JSON values that follow each other.
pub(crate) fn load(file: FileId, source: &Source) -> Loaded {
    let text = source.text.as_str();
    if let Some(&at) = source.invalid.first() {
        let problem = Problem {
            mark: Mark::new(file, offset(at), offset(at + 1)),
            message: NOT_UTF8.to_owned(),
            kind: ProblemKind::Unreadable,
        };
        return Loaded {
            documents: Vec::new(),
            problems: vec![problem],
            ambiguous: false,
        };
    }
    let mut reader = Reader {
        file,
        text,
        jiter: Jiter::new(text.as_bytes()),
        duplicates: Vec::new(),
    };
    let mut documents = Vec::new();
    let unreadable = loop {
        let rest = &text[reader.jiter.current_index().min(text.len())..];
        if rest.trim_start().is_empty() {
            break None;
        }
        match reader.document() {
            Ok(node) if matches!(node.value, Value::Null) => {}
            Ok(node) => documents.push(node),
            Err(problem) => break Some(problem),
        }
    };
    let mut problems = reader.duplicates;
    problems.extend(unreadable);
    Loaded {
        documents,
        problems,
        ambiguous: false,
    }
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    jiter: Jiter<'a>,
    duplicates: Vec<Problem>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Node, Problem> {
        let peek = self.jiter.peek().map_err(|e| self.problem(&e))?;
        self.node(peek, 0)
    }

    fn node(&mut self, peek: Peek, depth: usize) -> Result<Node, Problem> {
        let start = self.jiter.current_index();
        if depth > MAX_DEPTH {
            return Err(self.at(start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let value = match peek {
            Peek::Null => {
                self.jiter.known_null().map_err(|e| self.problem(&e))?;
                Value::Null
            }
            Peek::True | Peek::False => {
                Value::Bool(self.jiter.known_bool(peek).map_err(|e| self.problem(&e))?)
            }
            Peek::String => {
                let text = self.jiter.known_str().map(Str::new);
                Value::String(text.map_err(|e| self.problem(&e))?)
            }
            Peek::Array => {
                let mut items = Vec::new();
                let mut next = self.jiter.known_array().map_err(|e| self.problem(&e))?;
                while let Some(peek) = next {
                    items.push(self.node(peek, depth + 1)?);
                    next = self.jiter.array_step().map_err(|e| self.problem(&e))?;
                }
                Value::Array(items)
            }
            Peek::Object => {
                let mut map = MapBuilder::default();
                let mut before = start;
                let mut next = self.jiter.known_object().map(|k| k.map(Str::new));
                while let Some(key) = next.map_err(|e| self.problem(&e))? {
                    let key_mark = self.key_mark(before);
                    let peek = self.jiter.peek().map_err(|e| self.problem(&e))?;
                    let node = self.node(peek, depth + 1)?;
                    before = self.jiter.current_index();
                    let entry = Entry {
                        key,
                        key_mark,
                        node,
                    };
                    let name = entry.key.clone();
                    if map.push(entry).is_some() {
                        self.duplicates.push(Problem {
                            mark: key_mark,
                            message: format!("the key {name:?} stands twice in one object"),
                            kind: ProblemKind::DuplicateKey,
                        });
                    }
                    next = self.jiter.next_key().map(|k| k.map(Str::new));
                }
                Value::Object(map.finish())
            }
            _ => {
                let number = self.jiter.known_number_bytes(peek).map(<[u8]>::to_vec);
                let number = number.map_err(|e| self.problem(&e))?;
                let text = String::from_utf8_lossy(&number);
                let number = match text.parse::<i64>() {
                    Ok(i) => Some(Number::Int(i)),
                    Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
                };
                let number =
                    number.ok_or_else(|| self.at(start, "a number out of range".to_owned()))?;
                Value::Number(number)
            }
        };
        Ok(Node {
            mark: self.mark(start, self.jiter.current_index()),
            value,
        })
    }

    /// The key that was just read: jiter stands behind its colon, and only white space, a comma
    /// or a brace lie between `before` and its opening quote.
    fn key_mark(&self, before: usize) -> Mark {
        let bytes = self.text.as_bytes();
        let behind = self.jiter.current_index().min(bytes.len());
        let start = memchr::memchr(b'"', &bytes[before..behind]).map_or(before, |i| before + i);
        let colon = memchr::memrchr(b':', &bytes[start..behind]).map_or(behind, |i| start + i);
        self.mark(start, start + self.text[start..colon].trim_end().len())
    }

    fn mark(&self, start: usize, end: usize) -> Mark {
        Mark::new(self.file, offset(start), offset(end))
    }

    fn at(&self, index: usize, message: String) -> Problem {
        Problem {
            mark: self.mark(index, index + 1),
            message,
            kind: ProblemKind::Unreadable,
        }
    }

    fn problem(&self, error: &JiterError) -> Problem {
        self.at(error.index, format!("not valid JSON: {}", error.error_type))
    }
}

fn offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sources, decode};

    fn load(file: FileId, text: &str) -> Loaded {
        let sources = Sources::new();
        let id = sources.add(String::new(), decode(text.into()));
        super::load(file, &sources.get(id).unwrap())
    }

    #[test]
    fn keys_and_values_know_their_place() {
        let text = "{\n\t\"a\" : [1, \"x\"],\n\t\"b\": {\"c\\u0041\": 1.5}}\n{\"d\": null}";
        let loaded = load(FileId(0), text);
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let slice = |mark: Mark| &text[mark.start as usize..mark.end as usize];
        let first = loaded.documents[0].as_map().unwrap();
        assert_eq!(slice(first.entry("a").unwrap().key_mark), "\"a\"");
        assert_eq!(slice(first.get("a").unwrap().mark), "[1, \"x\"]");
        assert_eq!(slice(first.get("a").unwrap().items()[1].mark), "\"x\"");
        let inner = first
            .get("b")
            .unwrap()
            .as_map()
            .unwrap()
            .entry("cA")
            .unwrap();
        assert_eq!(slice(inner.key_mark), "\"c\\u0041\"");
        assert_eq!(slice(inner.node.mark), "1.5");
        assert_eq!(loaded.documents.len(), 2);
    }

    #[test]
    fn what_is_good_before_a_mistake_is_kept() {
        let loaded = load(FileId(0), "{\"a\": 1}\n{\"a\": }");
        assert_eq!(loaded.documents.len(), 1);
        assert_eq!(loaded.problems.len(), 1);
        assert_eq!(loaded.problems[0].mark.start, 15);
        let twice = load(FileId(0), "{\"a\": 1, \"a\": 2}");
        assert_eq!(twice.problems[0].kind, ProblemKind::DuplicateKey);
        assert_eq!(twice.documents[0].get("a").and_then(Node::as_i64), Some(2));
        let deep = "[".repeat(100_000);
        assert_eq!(load(FileId(0), &deep).problems.len(), 1);
    }
}
