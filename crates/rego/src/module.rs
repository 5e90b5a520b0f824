//! One Rego module: where it stands, what it is called, what it holds.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;

use regorus::unstable::{Expr, Module as Ast, Parser, Ref, Rule, RuleHead, Source as RegoSource};
use stagegate_core::{FileId, Mark};
use stagegate_manifest::Source;

use crate::LoadError;
use crate::text::{MAX_COLUMN, Purpose, Text};

/// Where a module was written.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: FileId,
    pub(crate) source: Arc<Source>,
    pub(crate) at: At,
}

/// Where in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// It is the file.
    Whole,
    /// It is a literal block of a YAML file, of which this is the first line, behind so many spaces.
    Block { first_line: u32, indent: u32 },
    /// It is some other text in a YAML file.
    Scalar(Mark),
}

impl Place {
    /// The place of a text that stands in a YAML file.
    pub(crate) fn of_text(file: FileId, source: &Arc<Source>, mark: Mark) -> Place {
        let written = source.text.get(mark.start as usize..mark.end as usize);
        let block = written.and_then(|text| {
            let mut lines = text.lines();
            lines.next().filter(|header| header.starts_with('|'))?;
            let first = lines.find(|line| !line.trim().is_empty())?;
            let indent = first.len() - first.trim_start().len();
            u32::try_from(indent).ok()
        });
        let at = match block {
            Some(indent) => At::Block {
                first_line: source.line_column(mark.start as usize).0 + 1,
                indent,
            },
            None => At::Scalar(mark),
        };
        Place {
            file,
            source: Arc::clone(source),
            at,
        }
    }

    /// The mark of a piece of the module's own text.
    pub(crate) fn mark(&self, text: &str, start: usize, end: usize) -> Mark {
        let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match self.at {
            At::Whole => Mark::new(self.file, offset(start), offset(end.max(start))),
            At::Block { first_line, indent } => {
                let before = text.get(..start).unwrap_or(text);
                let line = before.matches('\n').count();
                let column = before.len() - before.rfind('\n').map_or(0, |i| i + 1);
                let at = self.source.line_start(first_line + offset(line));
                let start_there = offset(at + indent as usize + column);
                let length = text
                    .get(start..end)
                    .map_or(0, |piece| piece.lines().next().unwrap_or_default().len());
                Mark::new(self.file, start_there, start_there + offset(length))
            }
            At::Scalar(mark) => mark,
        }
    }

    /// `policies/replicas.rego:12`
    pub(crate) fn line(&self, text: &str, offset: usize) -> String {
        let mark = self.mark(text, offset, offset);
        let (line, _) = self.source.line_column(mark.start as usize);
        format!("{}:{line}", self.source.path)
    }
}

/// The version of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    V0,
    V1,
}

/// A module.
pub(crate) struct Module {
    pub(crate) place: Place,
    /// What it is called in the engine: unique.
    pub(crate) name: String,
    /// As it was written.
    pub(crate) original: String,
    pub(crate) text: Text,
    pub(crate) dialect: Dialect,
    /// The steps of its package below `data`.
    pub(crate) package: Vec<String>,
    pub(crate) ast: Ref<Ast>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Module {
    /// Parses a module, as the dialect that it is written in. `first` is tried first, and decides
    /// where both would do.
    pub(crate) fn parse(
        name: String,
        place: Place,
        original: String,
        purpose: Purpose,
        first: Dialect,
    ) -> Result<Module, LoadError> {
        let mut text = Text::new(&name, &original, purpose).map_err(|error| LoadError {
            mark: place.mark(&original, error.offset, error.offset + 1),
            message: error.message,
            help: None,
        })?;
        let second = match first {
            Dialect::V0 => Dialect::V1,
            Dialect::V1 => Dialect::V0,
        };
        let mut failed: Vec<(usize, String)> = Vec::new();
        let mut parsed = None;
        // Words of v1 that no import brings in cannot be meant for v0.
        let is_v1 = first == Dialect::V1 && text.has_if && !original.contains("future.keywords");
        let dialects = if is_v1 {
            vec![first]
        } else {
            vec![first, second]
        };
        for dialect in dialects {
            match parse(&name, &text.patched, dialect) {
                Ok(ast) => {
                    parsed = Some((ast, dialect));
                    break;
                }
                Err(error) => {
                    let message = RegoMessage::of(&error.to_string());
                    let offset = message
                        .at
                        .map_or(0, |(line, column)| text.offset(line, column));
                    failed.push((text.original(offset), message.text));
                }
            }
        }
        let Some((ast, dialect)) = parsed else {
            // The dialect that was meant is the one in which more of it can be read.
            failed.sort_by_key(|(offset, _)| std::cmp::Reverse(*offset));
            let (offset, message) = failed.into_iter().next().unwrap_or_default();
            return Err(LoadError {
                mark: place.mark(&original, offset, offset + 1),
                message: format!("this is no Rego: {message}"),
                help: None,
            });
        };
        let ast = rewritten(&name, &mut text, ast, dialect).map_err(|error| LoadError {
            mark: place.mark(&original, 0, 0),
            message: format!("this cannot be evaluated as OPA would: {error}"),
            help: None,
        })?;
        let package = steps(&ast.package.refr).unwrap_or_default();
        Ok(Module {
            place,
            name,
            original,
            text,
            dialect,
            package,
            ast: Ref::new(ast),
        })
    }

    /// `data.stagegate.replicas`
    pub(crate) fn package_path(&self) -> String {
        path(&self.package)
    }

    /// The rules, by the name that they are found under in the package: `deny`, `a.b`.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (Vec<String>, &Ref<Rule>)> {
        self.ast
            .policy
            .iter()
            .filter_map(|rule| Some((rule_name(rule)?, rule)))
    }

    /// Whether there is a rule of that name.
    pub(crate) fn has_rule(&self, name: &str) -> bool {
        self.rules()
            .any(|(own, _)| own.first().is_some_and(|first| first == name))
    }

    /// The mark of a piece of the syntax tree.
    pub(crate) fn mark(&self, span: &regorus::unstable::Span) -> Mark {
        let start = self.text.original(span.start as usize);
        let end = self.text.original(span.end as usize);
        self.place.mark(&self.original, start, end)
    }

    /// The mark of the package's name.
    pub(crate) fn package_mark(&self) -> Mark {
        self.mark(&self.ast.package.span)
    }
}

/// Writes what the interpreter evaluates otherwise than OPA in the way that both do alike.
fn rewritten(name: &str, text: &mut Text, mut ast: Ast, dialect: Dialect) -> anyhow::Result<Ast> {
    let mut names = 0;
    // Each look finds what stands one deeper, and brackets nest only so deep.
    for _ in 0..16 {
        let changes = crate::rewrite::changes(&ast, &mut names);
        if changes.is_empty() {
            break;
        }
        let mut changed = text.clone();
        changed.change(&changes);
        ast = parse(name, &changed.patched, dialect)?;
        *text = changed;
    }
    Ok(ast)
}

fn parse(name: &str, text: &str, dialect: Dialect) -> anyhow::Result<Ast> {
    // A parser that somebody else wrote: a panic in it is a text that cannot be read.
    catch_unwind(|| parsed(name, text, dialect))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the parser does not survive it")))
}

fn parsed(name: &str, text: &str, dialect: Dialect) -> anyhow::Result<Ast> {
    let source = RegoSource::from_contents(name.to_owned(), text.to_owned())?;
    let mut parser = Parser::new(&source)?;
    parser.set_max_col(MAX_COLUMN);
    if dialect == Dialect::V1 {
        parser.enable_rego_v1()?;
    }
    parser.parse()
}

/// The name of a rule within its package: as far as it is constant.
pub(crate) fn rule_name(rule: &Rule) -> Option<Vec<String>> {
    let refr = match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    };
    let mut steps = constant_steps(refr);
    // A reference from the root is told by its package.
    if steps.first().is_some_and(|s| s == "data") && steps.len() > 1 {
        steps.remove(0);
    }
    (!steps.is_empty()).then_some(steps)
}

/// The steps of a reference, if all of them are constant: `a.b["c"]`.
pub(crate) fn steps(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Var { span, .. } => Some(vec![span.text().to_owned()]),
        Expr::RefDot { refr, field, .. } => {
            let mut before = steps(refr)?;
            before.push(field.0.text().to_owned());
            Some(before)
        }
        Expr::RefBrack { refr, index, .. } => {
            let mut before = steps(refr)?;
            match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => {
                    before.push(value.as_string().ok()?.to_string());
                }
                _ => return None,
            }
            Some(before)
        }
        _ => None,
    }
}

/// The steps of a reference up to the first that is not constant.
pub(crate) fn constant_steps(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => {
            steps(expr).unwrap_or_else(|| constant_steps(refr))
        }
        Expr::Var { .. } => steps(expr).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A path below `data` as the engine takes it: `data.a["b-c"].d`.
pub(crate) fn path(steps: &[String]) -> String {
    let is_name = |step: &str| {
        step.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !step.starts_with(|c: char| c.is_ascii_digit())
    };
    steps.iter().fold("data".to_owned(), |path, step| {
        if is_name(step) {
            format!("{path}.{step}")
        } else {
            format!("{path}[{}]", serde_json::Value::from(step.as_str()))
        }
    })
}

/// What modules import, by the name that it has there.
pub(crate) fn imports(ast: &Ast) -> BTreeMap<String, Vec<String>> {
    let named = ast.imports.iter().filter_map(|import| {
        let path = steps(&import.refr)?;
        let name = match &import.r#as {
            Some(span) => span.text().to_owned(),
            None => path.last()?.clone(),
        };
        Some((name, path))
    });
    named.collect()
}

/// A message of the interpreter, taken apart: it is text with a place in it.
pub(crate) struct RegoMessage {
    /// The name of the module.
    pub(crate) module: String,
    /// Line and column, from 1.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) text: String,
}

impl RegoMessage {
    pub(crate) fn of(message: &str) -> RegoMessage {
        let place = message.lines().find_map(|line| line.strip_prefix("--> "));
        let mut parts = place.unwrap_or_default().rsplitn(3, ':');
        let (column, line) = (parts.next(), parts.next());
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<usize>().ok());
        let text = message
            .lines()
            .find_map(|line| line.strip_prefix("error: "))
            .unwrap_or(message.trim());
        RegoMessage {
            module: parts.next().unwrap_or_default().to_owned(),
            at: number(line).zip(number(column)),
            text: text.trim_end_matches(':').to_owned(),
        }
    }
}
