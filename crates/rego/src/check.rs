//! What is refused before anything is evaluated: the interpreter would find it only when it gets
//! there, or not survive it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use regorus::unstable::{AssignOp, Expr, Literal, Query, Rule, RuleBody, RuleHead, Span};

use crate::LoadError;
use crate::builtins;
use crate::module::{Dialect, Module, constant_steps, imports, path, steps};

/// How far rules may call each other in one chain, each counted with the depth of its own
/// expressions: what a thread's stack of 2 MiB holds four times over.
const MAX_CHAIN: usize = 300;

/// A rule or function under one name, wherever its definitions stand.
struct Definition {
    /// By number of arguments; none for a rule that is no function.
    arities: BTreeSet<usize>,
    /// How deep its expressions nest at the most.
    depth: usize,
    /// Where it stands first.
    module: usize,
    start: usize,
    end: usize,
}

/// Checks modules that are evaluated together.
pub(crate) fn check(modules: &[&Module]) -> Vec<LoadError> {
    let mut definitions: BTreeMap<Vec<String>, Definition> = BTreeMap::new();
    for (i, module) in modules.iter().enumerate() {
        for (name, rule) in module.rules() {
            let mut full = module.package.clone();
            full.extend(name);
            let arity = arity(rule);
            let span = rule.span();
            let definition = definitions.entry(full).or_insert_with(|| Definition {
                arities: BTreeSet::new(),
                depth: 0,
                module: i,
                start: span.start as usize,
                end: span.end as usize,
            });
            definition.arities.extend(arity);
            let mut depth = Depth::default();
            depth.rule(rule);
            definition.depth = definition.depth.max(depth.most);
        }
    }
    let mut errors = Vec::new();
    let mut graph: DiGraph<&Vec<String>, ()> = DiGraph::new();
    let nodes: BTreeMap<&Vec<String>, NodeIndex> = definitions
        .keys()
        .map(|name| (name, graph.add_node(name)))
        .collect();
    for module in modules {
        let imports = imports(&module.ast);
        for import in &module.ast.imports {
            let path = steps(&import.refr).unwrap_or_default();
            if path.first().is_some_and(|root| root == "data") && path[1..] == module.package {
                errors.push(LoadError {
                    mark: module.mark(&import.span),
                    message: "a module cannot import its own package here".to_owned(),
                    help: Some("name its rules without the package".to_owned()),
                });
            }
        }
        for (name, rule) in module.rules() {
            let mut full = module.package.clone();
            full.extend(name);
            let mut uses = Uses {
                module,
                imports: &imports,
                definitions: &definitions,
                used: BTreeSet::new(),
                errors: &mut errors,
            };
            uses.rule(rule);
            let used = uses.used;
            for other in used {
                // A reference to a part of the path means all that is below it.
                let below = definitions
                    .range(other.clone()..)
                    .take_while(|(path, _)| path.starts_with(&other));
                for (path, _) in below {
                    graph.update_edge(nodes[&full], nodes[path], ());
                }
                let above = (1..other.len()).map(|n| other[..n].to_vec());
                for path in above {
                    if let Some(node) = nodes.get(&path) {
                        graph.update_edge(nodes[&full], *node, ());
                    }
                }
            }
        }
    }
    errors.extend(cycles_and_chains(modules, &definitions, &graph));
    errors.sort_by_key(|e| e.mark);
    errors.dedup();
    errors
}

fn arity(rule: &Rule) -> Option<usize> {
    match rule {
        Rule::Spec {
            head: RuleHead::Func { args, .. },
            ..
        } => Some(args.len()),
        Rule::Default { args, .. } if !args.is_empty() => Some(args.len()),
        _ => None,
    }
}

fn cycles_and_chains(
    modules: &[&Module],
    definitions: &BTreeMap<Vec<String>, Definition>,
    graph: &DiGraph<&Vec<String>, ()>,
) -> Vec<LoadError> {
    let mut errors = Vec::new();
    let mark = |name: &Vec<String>| {
        let definition = &definitions[name];
        let module = modules[definition.module];
        let text = &module.text;
        let (start, end) = (
            text.original(definition.start),
            text.original(definition.end),
        );
        let head = module.original.get(start..end).unwrap_or_default();
        let length = head.lines().next().unwrap_or_default().len();
        module.place.mark(&module.original, start, start + length)
    };
    // Components come callees first, so that every chain below is known.
    let mut chains: Vec<usize> = vec![0; graph.node_count()];
    for component in tarjan_scc(graph) {
        let is_cycle = component.len() > 1
            || component
                .first()
                .is_some_and(|node| graph.contains_edge(*node, *node));
        if is_cycle {
            let mut names: Vec<&Vec<String>> = component.iter().map(|node| graph[*node]).collect();
            names.sort();
            let called: Vec<String> = names.iter().map(|name| path(name)).collect();
            errors.push(LoadError {
                mark: mark(names[0]),
                message: if called.len() == 1 {
                    format!("{} depends on itself", called[0])
                } else {
                    format!("these depend on each other: {}", called.join(", "))
                },
                help: Some(
                    "Rego has no recursion; walk() and comprehensions go through nested values"
                        .to_owned(),
                ),
            });
            continue;
        }
        for node in component {
            let name = graph[node];
            let longest = graph.neighbors(node).map(|n| chains[n.index()]).max();
            let own = definitions[name].depth + 1;
            let chain = own + longest.unwrap_or(0);
            chains[node.index()] = chain;
            // Only told where it is first too long.
            if chain > MAX_CHAIN && longest.unwrap_or(0) <= MAX_CHAIN {
                errors.push(LoadError {
                    mark: mark(name),
                    message: format!(
                        "{} and what it calls in turn nest {chain} deep, and {MAX_CHAIN} is the most",
                        path(name)
                    ),
                    help: None,
                });
            }
        }
    }
    errors
}

/// What is evaluated otherwise than OPA does, and could change a verdict.
pub(crate) fn notices(module: &Module) -> Vec<LoadError> {
    struct Patterns<'m> {
        module: &'m Module,
        found: Vec<LoadError>,
    }
    impl Patterns<'_> {
        fn pattern(&mut self, expr: &Expr) {
            match expr {
                Expr::Object { span, fields, .. } => {
                    let binds = |value: &Expr| matches!(value, Expr::Var { .. });
                    if fields.iter().any(|(_, _, value)| binds(value)) {
                        self.found.push(LoadError {
                            mark: self.module.mark(span),
                            message:
                                "an object pattern matches objects with more keys, too; in OPA \
                                      the keys must be the same"
                                    .to_owned(),
                            help: Some(
                                "name the fields one by one, and compare object.keys where it \
                                 matters"
                                    .to_owned(),
                            ),
                        });
                    }
                }
                Expr::Array { items, .. } => {
                    for item in items {
                        self.pattern(item);
                    }
                }
                _ => {}
            }
        }
    }
    impl Patterns<'_> {
        fn number(&mut self, expr: &Expr, in_arithmetic: bool) {
            let Expr::Number { span, .. } = expr else {
                return;
            };
            let text = span.text();
            let is_fraction = in_arithmetic && text.contains('.');
            let is_long = text.bytes().filter(u8::is_ascii_digit).count() > 15;
            if is_fraction || is_long {
                self.found.push(LoadError {
                    mark: self.module.mark(span),
                    message: "fractions and numbers of more than 15 digits are binary \
                              floating-point numbers here; in OPA they are decimal and exact"
                        .to_owned(),
                    help: Some("reckon in whole numbers: milli, bytes".to_owned()),
                });
            }
        }
    }
    impl Visitor for Patterns<'_> {
        fn expr(&mut self, expr: &Expr) {
            if let Expr::ArithExpr { lhs, rhs, .. } = expr {
                self.number(lhs, true);
                self.number(rhs, true);
            }
            self.number(expr, false);
            if let Expr::AssignExpr { op, lhs, rhs, .. } = expr {
                self.pattern(lhs);
                if *op == AssignOp::Eq {
                    self.pattern(rhs);
                }
            }
            self.children(expr);
        }

        fn query(&mut self, query: &Query) {
            for statement in &query.stmts {
                if let Literal::SomeIn { value, .. } = &statement.literal {
                    self.pattern(value);
                }
            }
            self.statements(query);
        }
    }
    let mut patterns = Patterns {
        module,
        found: Vec::new(),
    };
    for rule in &module.ast.policy {
        if let Rule::Spec {
            head: RuleHead::Func { args, .. },
            ..
        } = rule.as_ref()
        {
            for arg in args {
                patterns.pattern(arg);
            }
        }
        patterns.rule(rule);
    }
    patterns.found
}

/// How deep expressions nest.
#[derive(Default)]
struct Depth {
    now: usize,
    most: usize,
}

impl Visitor for Depth {
    fn expr(&mut self, expr: &Expr) {
        self.now += 1;
        self.most = self.most.max(self.now);
        self.children(expr);
        self.now -= 1;
    }
}

/// What a rule uses.
struct Uses<'a> {
    module: &'a Module,
    imports: &'a BTreeMap<String, Vec<String>>,
    definitions: &'a BTreeMap<Vec<String>, Definition>,
    /// Paths below `data`, rules or what holds rules.
    used: BTreeSet<Vec<String>>,
    errors: &'a mut Vec<LoadError>,
}

impl Uses<'_> {
    /// The path below `data` that a name in this module means, if it means one.
    fn absolute(&self, steps: &[String]) -> Option<Vec<String>> {
        let (first, rest) = steps.split_first()?;
        let joined = |before: &[String]| {
            let mut path = before.to_vec();
            path.extend_from_slice(rest);
            path
        };
        if first == "data" {
            return Some(rest.to_vec());
        }
        if let Some(import) = self.imports.get(first) {
            return match import.split_first() {
                Some((root, below)) if root == "data" => Some(joined(below)),
                _ => None,
            };
        }
        let mut own = self.module.package.clone();
        own.push(first.clone());
        let is_rule = self
            .definitions
            .range(own.clone()..)
            .next()
            .is_some_and(|(path, _)| path.starts_with(&own));
        is_rule.then(|| joined(&own))
    }

    fn error(&mut self, span: &Span, message: String, help: Option<String>) {
        self.errors.push(LoadError {
            mark: self.module.mark(span),
            message,
            help,
        });
    }

    fn call(&mut self, span: &Span, function: &Expr, given: usize) {
        let Some(called) = steps(function) else {
            return;
        };
        let shown = called.join(".");
        if let Some(path) = self.absolute(&called) {
            if let Some(definition) = self.definitions.get(&path) {
                let arities = &definition.arities;
                // The result may be given as a further argument.
                let fits = |arity: &usize| *arity == given || *arity + 1 == given;
                let wanted: Vec<String> = arities.iter().map(usize::to_string).collect();
                if arities.is_empty() {
                    self.error(span, format!("{shown} is no function"), None);
                } else if !arities.iter().any(fits) {
                    let wanted = wanted.join(" or ");
                    let message = format!("{shown} takes {wanted} arguments, and is given {given}");
                    self.error(span, message, None);
                }
                self.used.insert(path);
                return;
            }
            if called.first().is_some_and(|first| first == "data")
                || self.imports.contains_key(&called[0])
            {
                let known = self
                    .definitions
                    .iter()
                    .filter(|(_, d)| !d.arities.is_empty());
                let known: Vec<String> = known.map(|(p, _)| p.join(".")).collect();
                let help = crate::did_you_mean(&path.join("."), known.iter().map(String::as_str));
                self.error(span, format!("there is no function {shown}"), help);
                return;
            }
        }
        if let Some(why) = builtins::refused(&shown) {
            self.error(span, format!("{shown} is not available: {why}"), None);
            return;
        }
        let is_v1 = self.module.dialect == Dialect::V1;
        match builtins::arity(&shown) {
            None if shown == "print" => {}
            None => {
                let own = self.definitions.iter().filter(|(path, d)| {
                    !d.arities.is_empty() && path.starts_with(&self.module.package)
                });
                let own = own.filter_map(|(path, _)| path.last().map(String::as_str));
                let builtins = builtins::names();
                let known = own.chain(builtins.iter().map(|name| &**name));
                let help = crate::did_you_mean(&shown, known);
                self.error(span, format!("there is no function {shown}"), help);
            }
            Some(arity) if given == arity => {}
            // The result as a further argument, which only this builtin is used with.
            Some(arity) if given == arity + 1 && shown == "walk" => {}
            Some(arity) if given == arity + 1 => {
                let message = format!("{shown} takes {arity} arguments, and is given {given}");
                let help = (!is_v1 || given > 1)
                    .then(|| format!("name the result instead: `result := {shown}(…)`"));
                self.error(span, message, help);
            }
            Some(arity) => {
                let message = format!("{shown} takes {arity} arguments, and is given {given}");
                self.error(span, message, None);
            }
        }
    }
}

impl Visitor for Uses<'_> {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Call {
                span, fcn, params, ..
            } => {
                self.call(span, fcn, params.len());
                for param in params {
                    self.expr(param);
                }
                return;
            }
            Expr::Var { span, .. } if span.text() == "data" => {
                self.error(
                    span,
                    "`data` as a whole depends on everything that there is".to_owned(),
                    Some("name what is meant: data.inventory, or a package".to_owned()),
                );
                return;
            }
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let constant = constant_steps(expr);
                if constant.len() > 1 || constant.first().is_some_and(|s| s != "data") {
                    self.used.extend(self.absolute(&constant));
                    self.indexes(expr);
                    return;
                }
            }
            _ => {}
        }
        self.children(expr);
    }
}

/// A walk over a syntax tree.
pub(crate) trait Visitor {
    /// Called for every expression; goes on with [`Visitor::children`].
    fn expr(&mut self, expr: &Expr);

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.indexes(refr);
                        if let Some(assign) = assign {
                            self.expr(&assign.value);
                        }
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.indexes(refr);
                        if let Some(key) = key {
                            self.expr(key);
                        }
                    }
                    RuleHead::Func { args, assign, .. } => {
                        for arg in args {
                            self.expr(arg);
                        }
                        if let Some(assign) = assign {
                            self.expr(&assign.value);
                        }
                    }
                }
                for body in bodies {
                    self.body(body);
                }
            }
            Rule::Default { value, .. } => self.expr(value),
        }
    }

    /// The variable parts of a reference, or of a rule's name.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expr(index);
            }
            Expr::Var { .. } => {}
            other => self.expr(other),
        }
    }

    fn body(&mut self, body: &RuleBody) {
        if let Some(assign) = &body.assign {
            self.expr(&assign.value);
        }
        self.query(&body.query);
    }

    fn query(&mut self, query: &Query) {
        self.statements(query);
    }

    /// The expressions of a query's statements.
    fn statements(&mut self, query: &Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn {
                    key,
                    value,
                    collection,
                    ..
                } => {
                    for part in key.iter().chain([value, collection]) {
                        self.expr(part);
                    }
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
                Literal::Every { domain, query, .. } => {
                    self.expr(domain);
                    self.query(query);
                }
            }
            for with in &statement.with_mods {
                self.with(&with.refr, &with.r#as);
            }
        }
    }

    /// `with target as value`: the target is replaced, not used.
    fn with(&mut self, _target: &Expr, value: &Expr) {
        self.expr(value);
    }

    fn children(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                for item in items {
                    self.expr(item);
                }
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expr(key);
                    self.expr(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term);
                self.query(query);
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                self.expr(key);
                self.expr(value);
                self.query(query);
            }
            Expr::Call { fcn, params, .. } => {
                self.expr(fcn);
                for param in params {
                    self.expr(param);
                }
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::RefDot { refr, .. } => self.expr(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.expr(refr);
                self.expr(index);
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                for part in key.iter().chain([value, collection]) {
                    self.expr(part);
                }
            }
        }
    }
}
