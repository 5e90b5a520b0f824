//! What the interpreter evaluates otherwise than OPA, written in a way that both evaluate alike.
//!
//! OPA evaluates the arguments of what stands below a `not` before it: where one is undefined, so is
//! the whole, and the body fails. The interpreter takes the negation for true. So the arguments are
//! given names in front of the `not`:
//!
//! ```text
//! not startswith(input.name, "a")      __n1 := input.name; not startswith(__n1, "a")
//! ```

use std::collections::BTreeSet;
use std::ops::Range;

use regorus::unstable::{
    BoolOp, Expr, Literal, LiteralStmt, Module as Ast, Query, Rule, RuleHead, Span,
};

use crate::check::Visitor;

/// A piece of a text, and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) range: Range<usize>,
    pub(crate) new: String,
}

/// What has to be changed in a module's text; empty where nothing has. What stands inside of what is
/// moved is left to the next look.
///
/// `names` counts the names that were given.
pub(crate) fn changes(ast: &Ast, names: &mut usize) -> Vec<Change> {
    let mut rules: BTreeSet<String> = BTreeSet::new();
    for rule in &ast.policy {
        rules.extend(crate::module::rule_name(rule).and_then(|name| name.into_iter().next()));
    }
    rules.extend(crate::module::imports(ast).into_keys());
    let mut rewriter = Rewriter {
        rules,
        names,
        changes: Vec::new(),
    };
    for rule in &ast.policy {
        rewriter.values(rule);
    }
    // One after the other: both may put braces around one body.
    if rewriter.changes.is_empty() {
        for rule in &ast.policy {
            rewriter.rule(rule);
        }
    }
    let mut changes = rewriter.changes;
    changes.sort_by_key(|c| (c.range.start, std::cmp::Reverse(c.range.end)));
    // Statements are moved whole: what was changed inside of one is changed the next time.
    let mut outermost: Vec<Change> = Vec::new();
    for change in changes {
        let end = outermost.last().map_or(0, |last| last.range.end);
        if change.range.start >= end {
            outermost.push(change);
        }
    }
    outermost
}

struct Rewriter<'n> {
    /// Names that stand for something that may be undefined.
    rules: BTreeSet<String>,
    names: &'n mut usize,
    changes: Vec<Change>,
}

impl Visitor for Rewriter<'_> {
    fn expr(&mut self, expr: &Expr) {
        self.children(expr);
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.stmts {
            self.statement(statement, query);
        }
        self.statements(query);
    }
}

impl Rewriter<'_> {
    /// Where the value of a body is undefined, OPA goes on with its `else`, and the interpreter does not.
    /// So the value is found in the body: `f(x) := __n1 if { …; __n1 := x.name } else := …`.
    fn values(&mut self, rule: &Rule) {
        let Rule::Spec { head, bodies, .. } = rule else {
            return;
        };
        let first = match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign.as_ref(),
            RuleHead::Set { .. } => return,
        };
        for (i, body) in bodies.iter().enumerate() {
            let has_else = bodies.get(i + 1).is_some_and(|next| next.is_else);
            let assign = if body.is_else {
                body.assign.as_ref()
            } else {
                first
            };
            let (Some(assign), Some(last)) = (assign, body.query.stmts.last()) else {
                continue;
            };
            if !has_else || !self.may_be_undefined(&assign.value) {
                continue;
            }
            *self.names += 1;
            let name = format!("__n{}", self.names);
            let value = text(assign.value.span());
            self.changes.push(Change {
                range: range(assign.value.span()),
                new: name.clone(),
            });
            let query = range(&body.query.span);
            let is_bare = !body.query.span.text().starts_with('{');
            let end = range(&last.span).end;
            let (open, close) = if is_bare { ("{ ", " }") } else { ("", "") };
            if is_bare {
                self.changes.push(Change {
                    range: query.start..query.start,
                    new: open.to_owned(),
                });
            }
            self.changes.push(Change {
                range: end..end,
                new: format!("; {name} := {value}{close}"),
            });
        }
    }

    fn statement(&mut self, statement: &LiteralStmt, query: &Query) {
        match &statement.literal {
            Literal::NotExpr { expr, .. } => {
                let mut undefined = Vec::new();
                self.negated(expr, &mut undefined);
                if !undefined.is_empty() {
                    self.name(statement, query, &undefined);
                }
            }
            // The interpreter goes through the nodes only where they are asked for as arguments.
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { span, lhs, rhs, .. } = expr.as_ref()
                    && matches!(lhs.as_ref(), Expr::Array { .. })
                    && let Expr::Call { fcn, params, .. } = rhs.as_ref()
                    && fcn.span().text() == "walk"
                    && let [value] = params.as_slice()
                {
                    let (pattern, value) = (text(lhs.span()), text(value.span()));
                    self.changes.push(Change {
                        range: range(span),
                        new: format!("walk({value}, {pattern})"),
                    });
                }
            }
            _ => {}
        }
    }

    /// Gives names to what may be undefined, in front of the statement.
    fn name(&mut self, statement: &LiteralStmt, query: &Query, undefined: &[&Span]) {
        let whole = range(&statement.span);
        let text = text(&statement.span);
        let with: String = statement
            .with_mods
            .iter()
            .map(|with| format!(" {}", self::text(&with.span)))
            .collect();
        let mut before = String::new();
        let mut changed = String::new();
        let mut done = 0;
        for span in undefined {
            let at = range(span);
            let (start, end) = (at.start - whole.start, at.end - whole.start);
            // A part of what has its name already.
            if start < done {
                continue;
            }
            *self.names += 1;
            let name = format!("__n{}", self.names);
            before.push_str(&format!("{name} := {}{with}; ", self::text(span)));
            changed.push_str(&text[done..start]);
            changed.push_str(&name);
            done = end;
        }
        changed.push_str(&text[done..]);
        let is_bare = !query.span.text().starts_with('{') && range(&query.span) == whole;
        self.changes.push(Change {
            range: whole,
            new: if is_bare {
                format!("{{ {before}{changed} }}")
            } else {
                format!("{before}{changed}")
            },
        });
    }

    /// What OPA evaluates before the negation of an expression.
    fn negated<'e>(&self, expr: &'e Expr, found: &mut Vec<&'e Span>) {
        match expr {
            Expr::Call { params, .. } => {
                for param in params {
                    self.operand(param, found);
                }
            }
            Expr::BoolExpr {
                op: BoolOp::Eq,
                lhs,
                rhs,
                ..
            }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                for side in [lhs, rhs] {
                    if matches!(
                        side.as_ref(),
                        Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. }
                    ) {
                        self.indexes(side, found);
                    } else {
                        self.operand(side, found);
                    }
                }
            }
            Expr::BoolExpr { lhs, rhs, .. }
            | Expr::BinExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => {
                self.operand(lhs, found);
                self.operand(rhs, found);
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                for part in key.iter().chain([value, collection]) {
                    self.operand(part, found);
                }
            }
            Expr::UnaryExpr { expr, .. } => self.operand(expr, found),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.indexes(expr, found),
            _ => {}
        }
    }

    /// An argument, if it may be undefined.
    fn operand<'e>(&self, expr: &'e Expr, found: &mut Vec<&'e Span>) {
        if self.may_be_undefined(expr) && !holds_wildcard(expr) {
            found.push(expr.span());
        }
    }

    fn may_be_undefined(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Var { span, .. } => self.rules.contains(span.text()),
            Expr::RefDot { .. }
            | Expr::RefBrack { .. }
            | Expr::Call { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::AssignExpr { .. }
            | Expr::Membership { .. } => true,
            Expr::UnaryExpr { expr, .. } => self.may_be_undefined(expr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().any(|item| self.may_be_undefined(item))
            }
            Expr::Object { fields, .. } => fields
                .iter()
                .any(|(_, key, value)| self.may_be_undefined(key) || self.may_be_undefined(value)),
            // A comprehension is empty at the least, and a literal is what it is.
            _ => false,
        }
    }

    /// The indexes of a reference, and a call that it begins with.
    fn indexes<'e>(&self, expr: &'e Expr, found: &mut Vec<&'e Span>) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr, found),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr, found);
                self.operand(index, found);
            }
            Expr::Call { .. } => self.operand(expr, found),
            _ => {}
        }
    }
}

/// Whether there is a `_` in it: OPA refuses that below a `not`, and a name would mean something else.
fn holds_wildcard(expr: &Expr) -> bool {
    struct Wildcard(bool);
    impl Visitor for Wildcard {
        fn expr(&mut self, expr: &Expr) {
            match expr {
                Expr::Var { span, .. } => self.0 |= span.text() == "_",
                // A comprehension's wildcards are its own.
                Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
                other => self.children(other),
            }
        }
    }
    let mut wildcard = Wildcard(false);
    wildcard.expr(expr);
    wildcard.0
}

/// Where a piece stands. The parser leaves the closing quote out where the piece ends with a text.
fn range(span: &Span) -> Range<usize> {
    let (start, mut end) = (span.start as usize, span.end as usize);
    let rest = span.source.contents().as_bytes().get(end);
    if matches!(rest, Some(b'"' | b'`')) {
        end += 1;
    }
    start..end
}

/// The text of a piece.
fn text(span: &Span) -> &str {
    span.source.contents().get(range(span)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stagegate_core::FileId;
    use stagegate_manifest::{Sources, decode};

    use crate::module::{At, Dialect, Module, Place};
    use crate::text::Purpose;

    /// The body of a rule, as it is evaluated.
    fn rewritten(body: &str) -> String {
        let text =
            format!("package t\nimport rego.v1\nimport data.x as imported\nr {body}\nrule := 1\n");
        let sources = Sources::new();
        let file = sources.add("t".to_owned(), decode(text.clone().into_bytes()));
        let place = Place {
            file: FileId(0),
            source: Arc::clone(&sources.get(file).unwrap()),
            at: At::Whole,
        };
        let module =
            Module::parse("t".to_owned(), place, text, Purpose::Policy, Dialect::V1).unwrap();
        let patched = module.text.patched;
        let rest = patched.split_once("\nr ").unwrap().1;
        rest.split_once("\nrule :=").unwrap().0.to_owned()
    }

    #[test]
    fn what_may_be_undefined_gets_a_name_before_its_negation() {
        for (body, expected) in [
            (
                "if { not startswith(input.a, \"x\") }",
                "if { __n1 := input.a; not startswith(__n1, \"x\") }",
            ),
            ("if not input.a > 1", "if { __n1 := input.a; not __n1 > 1 }"),
            (
                "if { x := 1; not f(x, [input.b], count(input.c)) with input as {} }",
                "if { x := 1; __n1 := [input.b] with input as {}; __n2 := count(input.c) with input as {}; \
                 not f(x, __n1, __n2) with input as {} }",
            ),
            (
                "if { not f(rule, imported) }",
                "if { __n1 := rule; __n2 := imported; not f(__n1, __n2) }",
            ),
            (
                "if { not input.a[input.b] == input.c }",
                "if { __n1 := input.b; not input.a[__n1] == input.c }",
            ),
            ("if { not f(1).y }", "if { __n1 := f(1); not __n1.y }"),
            // The inner one is seen when the outer one has its name.
            (
                "if { not f(count([1 | not g(input.a)])) }",
                "if { __n1 := count([1 | __n3 := input.a; not g(__n3)]); not f(__n1) }",
            ),
        ] {
            assert_eq!(rewritten(body), expected, "{body}");
        }
    }

    #[test]
    fn the_rest_stays() {
        for body in [
            "if { not input.a }",
            "if { not input.a == 1 }",
            "if { x := 1; not x == 2; not f(x, \"a\", {}) }",
            "if { not f([y | y := input.a]) }",
            "if { not input.a[_] == 1 }",
        ] {
            assert_eq!(rewritten(body), body);
        }
    }

    #[test]
    fn an_undefined_value_is_no_value_where_there_is_an_else() {
        for (rule, expected) in [
            (
                ":= input.a if { true } else := 2",
                ":= __n1 if { true; __n1 := input.a } else := 2",
            ),
            (
                ":= input.a if input.b == \"x\" else := input.c if {\n\tinput.d # why\n} else := input.e",
                ":= __n1 if { input.b == \"x\"; __n1 := input.a } else := __n2 if {\n\tinput.d; __n2 := input.c # why\n} \
                 else := input.e",
            ),
            (
                ":= 1 if { true } else := input.a",
                ":= 1 if { true } else := input.a",
            ),
            (":= input.a if { true }", ":= input.a if { true }"),
            // Both at once.
            (
                ":= input.a if not f(input.b) else := 2",
                ":= __n1 if { __n2 := input.b; not f(__n2); __n1 := input.a } else := 2",
            ),
        ] {
            assert_eq!(rewritten(rule), expected, "{rule}");
        }
    }

    #[test]
    fn nodes_are_walked_as_arguments() {
        assert_eq!(
            rewritten("if { [p, v] := walk(input.a); v == 1 }"),
            "if { walk(input.a, [p, v]); v == 1 }"
        );
    }
}
