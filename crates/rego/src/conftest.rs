//! conftest's form: `package main` with `deny`, `warn` and `violation`; the input is the object.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use regorus::Value;
use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, LiteralStmt, Rule};
use stagegate_core::{
    Context, Enforcement, KindPattern, Matches, Meta, Policy, PolicyError, Scope, Severity,
    Violation,
};

use crate::answer;
use crate::convert::Request;
use crate::evaluate::Program;
use crate::metadata::Metadata;
use crate::module::{Module, rule_name, steps};
use crate::own;
use crate::secrets::hide_in_error;

/// A file in conftest's form.
pub(crate) struct ConftestPolicy {
    meta: Meta,
    program: Arc<Program>,
    /// The module's place in the program.
    module: usize,
    definitions: Vec<Definition>,
    /// `data.main.exception`, where there is such a rule.
    exception: Option<String>,
}

/// One of a file's rules.
struct Definition {
    /// Its place among the module's rules.
    rule: usize,
    /// `deny_root`
    name: String,
    verb: Verb,
}

/// What a rule's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Deny,
    Warn,
    Violation,
}

impl Verb {
    /// Of a rule's name: `deny`, `deny_root`.
    pub(crate) fn of(name: &str) -> Option<Verb> {
        let (verb, rest) = name.split_once('_').unwrap_or((name, "x"));
        let is_whole = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match verb {
            _ if !is_whole || rest.is_empty() => None,
            "deny" => Some(Verb::Deny),
            "warn" => Some(Verb::Warn),
            "violation" => Some(Verb::Violation),
            _ => None,
        }
    }
}

/// The name without its verb, which exceptions go by: empty for `deny`, `root` for `deny_root`.
fn suffix(name: &str) -> &str {
    name.split_once('_').map_or("", |(_, suffix)| suffix)
}

/// Whether a module holds rules of conftest's names.
pub(crate) fn speaks(module: &Module) -> bool {
    definitions(module).next().is_some()
}

fn definitions(module: &Module) -> impl Iterator<Item = Definition> {
    let rules = module.ast.policy.iter().enumerate();
    rules.filter_map(|(i, rule)| {
        let is_default = matches!(rule.as_ref(), Rule::Default { .. });
        let name = rule_name(rule)?;
        let [name] = name.as_slice() else {
            return None;
        };
        let verb = Verb::of(name).filter(|_| !is_default)?;
        Some(Definition {
            rule: i,
            name: name.clone(),
            verb,
        })
    })
}

/// The kinds that all rules of a file ask for, where each body does: for others nothing is evaluated.
fn kinds(module: &Module, definitions: &[Definition]) -> Option<Vec<KindPattern>> {
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    for definition in definitions {
        let Rule::Spec { bodies, .. } = module.ast.policy.get(definition.rule)?.as_ref() else {
            return None;
        };
        if bodies.is_empty() {
            return None;
        }
        for body in bodies {
            kinds.insert(body.query.stmts.iter().find_map(kind_asked_for)?);
        }
    }
    let named = kinds.into_iter().map(|kind| KindPattern {
        kind: Some(kind),
        ..KindPattern::default()
    });
    Some(named.collect())
}

/// `input.kind == "Deployment"`, either way round.
fn kind_asked_for(statement: &LiteralStmt) -> Option<String> {
    if !statement.with_mods.is_empty() {
        return None;
    }
    let Literal::Expr { expr, .. } = &statement.literal else {
        return None;
    };
    let (lhs, rhs) = match expr.as_ref() {
        Expr::BoolExpr {
            op: BoolOp::Eq,
            lhs,
            rhs,
            ..
        }
        | Expr::AssignExpr {
            op: AssignOp::Eq,
            lhs,
            rhs,
            ..
        } => (lhs, rhs),
        _ => return None,
    };
    let is_kind = |expr: &Expr| steps(expr).is_some_and(|steps| steps == ["input", "kind"]);
    let text = |expr: &Expr| match expr {
        Expr::String { value, .. } => value.as_string().ok().map(ToString::to_string),
        _ => None,
    };
    if is_kind(lhs) {
        text(rhs)
    } else if is_kind(rhs) {
        text(lhs)
    } else {
        None
    }
}

impl ConftestPolicy {
    pub(crate) fn new(
        id: &str,
        category: &str,
        metadata: Option<&Metadata>,
        program: Arc<Program>,
        module: usize,
    ) -> ConftestPolicy {
        let own = &program.modules()[module];
        let definitions: Vec<Definition> = definitions(own).collect();
        let denies = definitions.iter().any(|d| d.verb != Verb::Warn);
        let text = |key: &str| metadata.and_then(|m| m.text(key)).map(str::to_owned);
        let severity = metadata.and_then(|m| m.custom("severity")?.as_str());
        let severity = Severity::ALL
            .into_iter()
            .find(|s| severity.is_some_and(|text| text.eq_ignore_ascii_case(&s.to_string())));
        let matches = match kinds(own, &definitions) {
            Some(kinds) => Matches::Patterns(kinds),
            None => Matches::All,
        };
        let package = own.package_path();
        let exception = program
            .modules()
            .iter()
            .any(|m| m.package == own.package && m.has_rule("exception"));
        ConftestPolicy {
            meta: Meta {
                id: Cow::Owned(id.to_owned()),
                title: Cow::Owned(text("title").unwrap_or_else(|| id.to_owned())),
                category: Cow::Owned(category.to_owned()),
                severity: severity.unwrap_or(Severity::Medium),
                enforcement: if denies {
                    Enforcement::Deny
                } else {
                    Enforcement::Warn
                },
                scope: Scope::Object,
                matches,
                manual: Cow::Owned(own::manual(&text("description").unwrap_or_default())),
                ..Meta::default()
            },
            program,
            module,
            definitions,
            exception: exception.then(|| format!("{package}.exception")),
        }
    }

    pub(crate) fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// The suffixes of the rules that do not hold for an object.
    fn excepted(&self, object: &Value) -> Result<BTreeSet<String>, PolicyError> {
        let Some(rule) = &self.exception else {
            return Ok(BTreeSet::new());
        };
        let answer = self.program.evaluate(rule, object.clone())?;
        let lists: Vec<&Value> = match &answer {
            Value::Set(lists) => lists.iter().collect(),
            Value::Array(lists) => lists.iter().collect(),
            _ => Vec::new(),
        };
        let names = lists.into_iter().flat_map(|list| match list {
            Value::Array(names) => names.iter().cloned().collect::<Vec<_>>(),
            Value::Set(names) => names.iter().cloned().collect(),
            other => vec![other.clone()],
        });
        let texts = names.filter_map(|name| Some(name.as_string().ok()?.to_string()));
        Ok(texts.collect())
    }
}

impl Policy for ConftestPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let (Some(request), Some(object)) = (Request::of(cx), cx.object()) else {
            return Ok(Vec::new());
        };
        let hidden = |error| hide_in_error(object, error);
        let excepted = self.excepted(&request.object).map_err(hidden)?;
        let mut found: Vec<Violation> = Vec::new();
        for definition in &self.definitions {
            let name = &definition.name;
            // What warns can be excepted no less than what denies.
            if excepted.contains(suffix(name)) {
                continue;
            }
            let input = request.object.clone();
            let (module, rule) = (self.module, definition.rule);
            let answer = self.program.evaluate_definition(module, rule, name, input);
            let answer = answer.map_err(hidden)?;
            let violations = answer::violations(cx, object, name, &answer)?;
            match definition.verb {
                Verb::Warn => found.extend(answer::only_warn(violations)),
                Verb::Deny | Verb::Violation => found.extend(violations),
            }
        }
        found.sort_by(|a, b| (&a.key, a.at_most).cmp(&(&b.key, b.at_most)));
        found.dedup();
        Ok(found)
    }

    fn prepare(&self) {
        self.program.prepare();
    }
}
