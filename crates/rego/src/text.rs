//! A module's text on its way into the interpreter.
//!
//! One pass over the tokens refuses what would take the parser too long, and writes what the
//! interpreter reads otherwise than OPA in a way that both read alike. Lines and columns of the
//! user's text can be found again.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Range;

use regorus::unstable::{Lexer, Source, Token, TokenKind};

use crate::rewrite::Change;

/// How deep arrays, objects and sets may nest: the parser takes twice as long for each level.
const MAX_NESTING: usize = 8;
/// A module of a megabyte is generated, and not by hand.
const MAX_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 20) - 1);
const MAX_LINES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(20_000 - 1);
/// Data is often one long line.
pub(crate) const MAX_COLUMN: NonZeroU32 = NonZeroU32::MAX;

/// What `data.inventory` is called while a policy is evaluated: the neighbours come with the input,
/// because other data would have the engine prepare everything again. As long as the other, so that
/// columns stay.
pub(crate) const INVENTORY: &str = "__dinv__";
/// The same for `data.index`.
pub(crate) const INDEX: &str = "__ix";

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To judge; neighbours come with the input.
    Policy,
    /// To be tested; neighbours are what the tests put into `data`.
    Test,
}

/// A module's text, as it is given to the interpreter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// The text.
    pub(crate) patched: String,
    /// It looks at its neighbours.
    pub(crate) sees_inventory: bool,
    /// It looks them up.
    pub(crate) sees_index: bool,
    /// The word `if` stands in it.
    pub(crate) has_if: bool,
    edits: Vec<Edit>,
}

/// A piece that was put in, or made longer.
#[derive(Clone, Debug)]
struct Edit {
    /// Where it stands in the patched text.
    at: usize,
    /// How much longer it is than what was there.
    length: usize,
}

/// Why a text is refused before it is parsed.
#[derive(Clone, Debug)]
pub(crate) struct TextError {
    /// Offset in the original text.
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// What a bracket belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// The body of a rule.
    Body,
    /// A literal, a comprehension, an index.
    Literal,
    Parenthesis,
}

impl Text {
    pub(crate) fn new(path: &str, original: &str, purpose: Purpose) -> Result<Text, TextError> {
        let whole = |message: String| TextError { offset: 0, message };
        let source = Source::from_contents_with_limits(
            path.to_owned(),
            original.to_owned(),
            MAX_BYTES,
            MAX_LINES,
        )
        .map_err(|_| {
            whole(format!(
                "the module is longer than {MAX_BYTES} bytes or {MAX_LINES} lines; move data into \
                 a data file"
            ))
        })?;
        let mut lexer = Lexer::new(&source);
        lexer.set_max_col(MAX_COLUMN);
        let mut pass = Pass {
            original,
            purpose,
            brackets: Vec::new(),
            before: None,
            rule_start: 0,
            body: None,
            recent: Vec::new(),
            insertions: Vec::new(),
            replacements: Vec::new(),
            text: Text::default(),
        };
        // Where a token is wrong, the parser says it better.
        while let Ok(token) = lexer.next_token() {
            if matches!(token.0, TokenKind::Eof) {
                break;
            }
            pass.take(&token)?;
        }
        Ok(pass.finish())
    }

    /// Changes the patched text once more; the changes are sorted and apart from each other.
    pub(crate) fn change(&mut self, changes: &[Change]) {
        let mut patched = String::with_capacity(self.patched.len());
        let mut edits = Vec::new();
        let mut before = self.edits.iter().peekable();
        let mut done = 0;
        for change in changes {
            patched.push_str(&self.patched[done..change.range.start]);
            let longer = patched.len() - change.range.start.min(patched.len());
            while let Some(edit) = before.next_if(|edit| edit.at < change.range.end) {
                edits.push(Edit {
                    at: edit.at + longer,
                    length: edit.length,
                });
            }
            edits.push(Edit {
                at: patched.len(),
                length: change.new.len().saturating_sub(change.range.len()),
            });
            patched.push_str(&change.new);
            done = change.range.end;
        }
        let longer = patched.len().saturating_sub(done);
        patched.push_str(&self.patched[done..]);
        edits.extend(before.map(|edit| Edit {
            at: edit.at + longer,
            length: edit.length,
        }));
        self.patched = patched;
        self.edits = edits;
    }

    /// The offset in the original text of one in the patched text.
    pub(crate) fn original(&self, patched: usize) -> usize {
        let before = self.edits.iter().take_while(|edit| edit.at < patched);
        let inserted: usize = before.map(|edit| edit.length.min(patched - edit.at)).sum();
        patched.saturating_sub(inserted)
    }

    /// The offset in the patched text of a line and column as the interpreter counts them.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let lines = self.patched.split_inclusive('\n');
        let start: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.patched.get(start..).unwrap_or_default();
        let within = rest.char_indices().nth(column.saturating_sub(1));
        start + within.map_or(rest.len(), |(i, _)| i)
    }
}

/// The pass over the tokens.
struct Pass<'t> {
    original: &'t str,
    purpose: Purpose,
    brackets: Vec<Bracket>,
    before: Option<Before>,
    /// Where the rule that is being read begins.
    rule_start: usize,
    /// Where its first body begins and its latest ended, once it has.
    body: Option<Range<usize>>,
    /// The last tokens, for what is named in several.
    recent: Vec<(String, Range<usize>)>,
    insertions: Vec<(usize, String)>,
    replacements: Vec<(Range<usize>, String)>,
    text: Text,
}

/// The token before.
struct Before {
    /// Where it ends, closing quotes included.
    end: usize,
    /// A value may end with it.
    ends_value: bool,
    text: String,
    closed: Option<Bracket>,
}

const KEYWORDS: &[&str] = &[
    "as", "contains", "default", "else", "every", "if", "import", "in", "not", "package", "some",
    "with",
];

impl Pass<'_> {
    fn take(&mut self, token: &Token) -> Result<(), TextError> {
        let Token(kind, span) = token;
        let (start, mut end) = (span.start as usize, span.end as usize);
        let text = self.original.get(start..end).unwrap_or_default();
        let is_text = matches!(kind, TokenKind::String | TokenKind::RawString);
        if is_text && self.original[end..].starts_with(['"', '`']) {
            end += 1;
        }
        let is_symbol = matches!(kind, TokenKind::Symbol);
        let begins_line = self
            .before
            .as_ref()
            .is_none_or(|before| self.original[before.end..start].contains('\n'));
        let mut closed = None;
        if is_symbol {
            match text {
                "(" => {
                    if begins_line
                        && let Some(before) = &self.before
                        && before.ends_value
                    {
                        // OPA ends the expression with the line; the interpreter would take it for a
                        // function that is called.
                        self.insertions.push((before.end, ";".to_owned()));
                    }
                    self.brackets.push(Bracket::Parenthesis);
                }
                "{" | "[" => self.open(text, start)?,
                ")" | "}" | "]" => closed = self.brackets.pop(),
                _ => {}
            }
        }
        let is_ident = matches!(kind, TokenKind::Ident);
        self.text.has_if |= is_ident && text == "if";
        if self.brackets.is_empty() && closed.is_none() && begins_line && is_ident && text != "else"
        {
            self.rule_start = start;
            self.body = None;
        }
        if closed == Some(Bracket::Body) {
            let from = self.body.as_ref().map_or(start, |body| body.start);
            self.body = Some(from..end);
        }
        self.neighbours(text, start..end, is_ident || is_symbol || is_text);
        self.before = Some(Before {
            end,
            ends_value: is_text
                || matches!(kind, TokenKind::Number)
                || (is_ident && !KEYWORDS.contains(&text))
                || (is_symbol && matches!(text, ")" | "}" | "]")),
            text: text.to_owned(),
            closed,
        });
        Ok(())
    }

    fn open(&mut self, text: &str, start: usize) -> Result<(), TextError> {
        let before = self.before.as_ref();
        let is_body = text == "{"
            && self.brackets.is_empty()
            && before.is_some_and(|b| b.ends_value || b.text == "if" || b.text == "else");
        if is_body {
            // A second body of one rule is another rule with the same head, in Rego v0.
            if before.is_some_and(|b| b.closed == Some(Bracket::Body))
                && let Some(body) = &self.body
            {
                let head = self.original[self.rule_start..body.start].trim_end();
                self.insertions.push((start, format!("{head} ")));
            } else if self.body.is_none() {
                self.body = Some(start..start);
            }
            self.brackets.push(Bracket::Body);
            return Ok(());
        }
        self.brackets.push(Bracket::Literal);
        let literals = self.brackets.iter().filter(|b| **b == Bracket::Literal);
        if literals.count() > MAX_NESTING {
            return Err(TextError {
                offset: start,
                message: format!(
                    "brackets nest deeper than {MAX_NESTING}, which would take the parser too long; \
                     give the inner part a name of its own, or move it into a data file"
                ),
            });
        }
        Ok(())
    }

    /// Looks for `data.inventory` and `data["inventory"]`, and the same of `data.index`.
    fn neighbours(&mut self, text: &str, range: Range<usize>, may_be_part: bool) {
        if !may_be_part {
            self.recent.clear();
            return;
        }
        if self.recent.len() == 4 {
            self.recent.remove(0);
        }
        self.recent.push((text.to_owned(), range));
        let names: Vec<&str> = self.recent.iter().map(|(text, _)| text.as_str()).collect();
        let at_data = match names.as_slice() {
            [.., "data", ".", "inventory" | "index"] => names.len() - 3,
            [.., "data", "[", "inventory" | "index"] => names.len() - 3,
            _ => return,
        };
        // The field `data` of something else.
        if at_data > 0 && names[at_data - 1] == "." {
            return;
        }
        let is_inventory = names[at_data + 2] == "inventory";
        self.text.sees_inventory |= is_inventory;
        self.text.sees_index |= !is_inventory;
        if self.purpose == Purpose::Test {
            return;
        }
        let name = if is_inventory { INVENTORY } else { INDEX };
        let import = at_data > 0 && names[at_data - 1] == "import";
        let data = self.recent[at_data].1.clone();
        let neighbour = self.recent[at_data + 2].1.clone();
        let quoted = names[at_data + 1] == "[";
        let inner = if quoted {
            neighbour.start..neighbour.end - 1
        } else {
            neighbour.clone()
        };
        let rest = &self.original[neighbour.end..];
        let line = rest.lines().next().unwrap_or_default();
        let is_whole = !line.trim_start().starts_with(['.', '[']) && !line.contains(" as ");
        if import && is_whole {
            let own = if is_inventory { "inventory" } else { "index" };
            self.insertions.push((neighbour.end, format!(" as {own}")));
        }
        self.replacements.push((data, "input".to_owned()));
        self.replacements.push((inner, name.to_owned()));
    }

    fn finish(mut self) -> Text {
        enum Change {
            Replace(Range<usize>),
            Insert(usize),
        }
        let mut changes: Vec<(Change, String)> = self
            .insertions
            .into_iter()
            .map(|(at, text)| (Change::Insert(at), text))
            .chain(
                self.replacements
                    .into_iter()
                    .map(|(range, text)| (Change::Replace(range), text)),
            )
            .collect();
        changes.sort_by_key(|(change, _)| match change {
            Change::Replace(range) => range.start,
            Change::Insert(at) => *at,
        });
        let mut done = 0;
        for (change, new) in changes {
            let patched = &mut self.text.patched;
            match change {
                Change::Insert(at) => {
                    patched.push_str(&self.original[done..at]);
                    self.text.edits.push(Edit {
                        at: patched.len(),
                        length: new.len(),
                    });
                    done = at;
                }
                Change::Replace(range) => {
                    patched.push_str(&self.original[done..range.start]);
                    done = range.end;
                }
            }
            self.text.patched.push_str(&new);
        }
        self.text.patched.push_str(&self.original[done..]);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(text: &str) -> Text {
        Text::new("t.rego", text, Purpose::Policy).unwrap()
    }

    #[test]
    fn what_is_alike_for_both_stays() {
        for text in [
            "package t\nimport rego.v1\ndeny contains m if {\n\tm := f(\n\t\t(1 + 2),\n\t)\n}\n",
            "package t\nx := [1,\n(2)]\nf(a) := b if { b := (a) }\nelse := 2 if { true }\n",
            "package t\nx := input.data.inventory\ny := data.inventories\n# data.inventory\n",
            "package t\nr = 1 { a } else = 2 { b }\n",
        ] {
            assert_eq!(patched(text).patched, text);
        }
    }

    #[test]
    fn a_parenthesis_on_the_next_line_calls_nothing() {
        let text = "package t\nr {\n  x := input.a # why\n  (x == 1)\n  y := \"s\"\n  (y)\n}\n";
        assert_eq!(
            patched(text).patched,
            "package t\nr {\n  x := input.a; # why\n  (x == 1)\n  y := \"s\";\n  (y)\n}\n"
        );
    }

    #[test]
    fn every_further_body_is_a_rule() {
        let text =
            "package t\ndeny[m] { a; m := 1 } { b; m := 2 }\nf(x) = y { y := x }\n{ y := 2 }\n";
        let both = patched(text);
        assert_eq!(
            both.patched,
            "package t\ndeny[m] { a; m := 1 } deny[m] { b; m := 2 }\n\
             f(x) = y { y := x }\nf(x) = y { y := 2 }\n"
        );
        // What was not written stands where it was put in.
        let at = |needle: &str| both.patched.find(needle).unwrap();
        assert_eq!(both.original(at("m := 2")), text.find("m := 2").unwrap());
        assert_eq!(both.original(at("y := 2")), text.find("y := 2").unwrap());
        assert_eq!(both.original(at("m := 1")), text.find("m := 1").unwrap());
    }

    #[test]
    fn neighbours_come_with_the_input() {
        let text = "package t\nimport data.inventory\nimport data.inventory as inv\n\
                    import data.index.by_name\nx := data.inventory.cluster\ny := data[\"index\"].a\n";
        let both = patched(text);
        assert_eq!(
            both.patched,
            "package t\nimport input.__dinv__ as inventory\nimport input.__dinv__ as inv\n\
             import input.__ix.by_name\nx := input.__dinv__.cluster\ny := input[\"__ix\"].a\n"
        );
        assert!(both.sees_inventory && both.sees_index);
        let tested = Text::new("t.rego", text, Purpose::Test).unwrap();
        assert_eq!(tested.patched, text);
    }

    #[test]
    fn deep_literals_are_refused_before_they_are_parsed() {
        let nested = |n: usize| {
            format!(
                "package t\nr {{ x := {}1{} }}\n",
                "[".repeat(n),
                "]".repeat(n)
            )
        };
        assert!(Text::new("t.rego", &nested(8), Purpose::Policy).is_ok());
        let error = Text::new("t.rego", &nested(9), Purpose::Policy).unwrap_err();
        assert_eq!(error.offset, nested(9).find('[').unwrap() + 8);
        // Brackets in texts and comments are none.
        let text = format!(
            "package t\nx := \"{0}\" # {0}\ny := `{0}`\n",
            "[{".repeat(9)
        );
        assert!(Text::new("t.rego", &text, Purpose::Policy).is_ok());
    }
}
