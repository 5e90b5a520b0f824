//! Objects, requests and neighbours as Rego sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use regorus::unstable::Expr;
use regorus::{Rc, Value};
use stagegate_core::{
    Context, Entry, Inventory, Namespace, Node, Number, Object, ObjectRef, Review, Subject,
    Value as NodeValue,
};

use crate::check::Visitor;
use crate::module::{Module, constant_steps, imports};
use crate::secrets;
use crate::text::INDEX;

type Fields = regorus::value::Object;

/// A Kubernetes object. Fields that are null are left out: they are absent to the API server.
pub(crate) fn object_value(object: &Object) -> Value {
    value(&object.node, false)
}

/// A node without its marks.
pub(crate) fn value_of(node: &Node) -> Value {
    value(node, true)
}

fn value(node: &Node, with_nulls: bool) -> Value {
    let value_of = |node: &Node| value(node, with_nulls);
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Bool(b) => Value::Bool(*b),
        NodeValue::Number(Number::Int(i)) => Value::from(*i),
        NodeValue::Number(Number::Float(f)) => Value::from(*f),
        NodeValue::String(s) => Value::from(s.as_str()),
        NodeValue::Array(items) => Value::from(items.iter().map(value_of).collect::<Vec<_>>()),
        NodeValue::Object(map) => {
            let is_there = |e: &&Entry| with_nulls || !matches!(e.node.value, NodeValue::Null);
            let fields = map.iter().filter(is_there);
            let fields: Fields = fields
                .map(|e| (Value::from(e.key.as_str()), value_of(&e.node)))
                .collect();
            Value::Object(Rc::new(fields))
        }
    }
}

/// An object of these fields.
pub(crate) fn object_of(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let fields: Fields = fields
        .into_iter()
        .map(|(key, value)| (Value::from(key), value))
        .collect();
    Value::Object(Rc::new(fields))
}

/// The field of an object.
pub(crate) fn field<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => fields.get(&Value::from(key)),
        _ => None,
    }
}

/// The name of the namespace that an object is in; empty where its kind has none.
pub(crate) fn namespace_of(object: &Object) -> &str {
    if object.reference.is_cluster_scoped() {
        ""
    } else {
        object.namespace().name()
    }
}

/// The subject of a review, made once for all policies that judge it.
pub(crate) struct Request {
    /// The object alone.
    pub(crate) object: Value,
    /// As in the request of an AdmissionReview.
    pub(crate) review: Value,
}

impl Request {
    /// The request that is judged; none where the subject is something else.
    pub(crate) fn of(cx: &Context<'_>) -> Option<Arc<Request>> {
        let Subject::Review(review) = cx.subject else {
            return None;
        };
        let subject = review.object.or(review.old_object)?;
        Some(cx.derived(|| Request::new(review, subject)))
    }

    fn new(review: &Review<'_>, subject: &Object) -> Request {
        let reference = &subject.reference;
        let object = review.object.map(object_value);
        let mut fields = vec![
            ("kind", kind_of(reference)),
            ("name", Value::from(reference.name.as_str())),
            ("namespace", Value::from(namespace_of(subject))),
            ("operation", Value::from(review.operation.to_string())),
            ("dryRun", Value::from(review.dry_run)),
        ];
        if !review.user.is_empty() {
            let user = object_of([("username", Value::from(review.user))]);
            fields.push(("userInfo", user));
        }
        if !review.subresource.is_empty() {
            fields.push(("subResource", Value::from(review.subresource)));
        }
        fields.push(("object", object.clone().unwrap_or(Value::Null)));
        let old = review.old_object.map(object_value);
        if let Some(old) = &old {
            fields.push(("oldObject", old.clone()));
        }
        Request {
            object: object.or(old).unwrap_or(Value::Null),
            review: object_of(fields),
        }
    }
}

fn kind_of(reference: &ObjectRef) -> Value {
    object_of([
        ("group", Value::from(reference.group())),
        ("version", Value::from(reference.version())),
        ("kind", Value::from(reference.kind.as_str())),
    ])
}

/// Kinds of neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kinds {
    All,
    Named(BTreeSet<String>),
}

impl Kinds {
    /// Those that modules look up in `data.index`, as far as they are named there.
    pub(crate) fn looked_up(modules: &[Arc<Module>]) -> Kinds {
        struct Lookups<'m> {
            imports: &'m BTreeMap<String, Vec<String>>,
            named: BTreeSet<String>,
            all: bool,
        }
        impl Visitor for Lookups<'_> {
            fn expr(&mut self, expr: &Expr) {
                let mut steps = constant_steps(expr);
                if steps.is_empty() {
                    return self.children(expr);
                }
                if let Some(path) = steps.first().and_then(|first| self.imports.get(first)) {
                    steps.splice(..1, path.iter().cloned());
                }
                if let [input, index, rest @ ..] = steps.as_slice()
                    && input == "input"
                    && index == INDEX
                {
                    match rest.get(1) {
                        Some(kind) => {
                            self.named.insert(kind.clone());
                        }
                        None => self.all = true,
                    }
                }
                self.indexes(expr);
            }
        }
        let mut named = BTreeSet::new();
        for module in modules {
            let imports = imports(&module.ast);
            let mut lookups = Lookups {
                imports: &imports,
                named: std::mem::take(&mut named),
                all: false,
            };
            for rule in &module.ast.policy {
                lookups.rule(rule);
            }
            if lookups.all {
                return Kinds::All;
            }
            named = lookups.named;
        }
        Kinds::Named(named)
    }

    fn contains(&self, kind: &str) -> bool {
        match self {
            Kinds::All => true,
            Kinds::Named(kinds) => kinds.contains(kind),
        }
    }
}

/// What an object sees around it.
#[derive(Clone)]
pub(crate) struct View {
    inventory: Arc<OnceLock<Value>>,
    index: Arc<OnceLock<Value>>,
    objects: Arc<Vec<(ObjectRef, String, Value)>>,
}

impl View {
    fn new(objects: Vec<(ObjectRef, String, Value)>) -> View {
        View {
            inventory: Arc::default(),
            index: Arc::default(),
            objects: Arc::new(objects),
        }
    }

    /// As Gatekeeper lays it out: `cluster[groupVersion][kind][name]` and
    /// `namespace[namespace][groupVersion][kind][name]`.
    pub(crate) fn inventory(&self) -> Value {
        self.inventory.get_or_init(|| self.lay_out()).clone()
    }

    fn lay_out(&self) -> Value {
        type Kinds<'o> = BTreeMap<&'o str, BTreeMap<&'o str, BTreeMap<&'o str, Value>>>;
        let mut cluster: Kinds<'_> = BTreeMap::new();
        let mut namespaces: BTreeMap<&str, Kinds<'_>> = BTreeMap::new();
        for (reference, namespace, value) in self.objects.iter() {
            let versions = match namespace.as_str() {
                "" => &mut cluster,
                name => namespaces.entry(name).or_default(),
            };
            let kinds = versions.entry(&reference.api_version).or_default();
            let names = kinds.entry(&reference.kind).or_default();
            names.insert(&reference.name, value.clone());
        }
        let laid_out = |versions: &Kinds<'_>| {
            dictionary(versions.iter().map(|(version, kinds)| {
                let kinds = kinds.iter().map(|(kind, names)| {
                    let names = names.iter().map(|(name, value)| (*name, value.clone()));
                    (*kind, dictionary(names))
                });
                (*version, dictionary(kinds))
            }))
        };
        let namespaces = namespaces
            .iter()
            .map(|(name, kinds)| (*name, laid_out(kinds)));
        object_of([
            ("cluster", laid_out(&cluster)),
            ("namespace", dictionary(namespaces)),
        ])
    }

    /// `by_kind[kind][namespace]` and `by_name[kind][namespace][name]`, arrays of objects. The
    /// namespace is empty for kinds without.
    pub(crate) fn index(&self) -> Value {
        self.index.get_or_init(|| self.look_up()).clone()
    }

    fn look_up(&self) -> Value {
        type Names = BTreeMap<String, Vec<Value>>;
        type Held = (Vec<Value>, Names);
        let mut kinds: BTreeMap<&str, BTreeMap<&str, Held>> = BTreeMap::new();
        for (reference, namespace, value) in self.objects.iter() {
            let of_kind = kinds.entry(&reference.kind).or_default();
            let (all, names) = of_kind.entry(namespace).or_default();
            all.push(value.clone());
            let of_name = names.entry(reference.name.clone()).or_default();
            of_name.push(value.clone());
        }
        let nested = |of: &dyn Fn(&Held) -> Value| {
            dictionary(kinds.iter().map(|(kind, namespaces)| {
                let inner = namespaces.iter().map(|(name, held)| (*name, of(held)));
                (*kind, dictionary(inner))
            }))
        };
        let by_name = nested(&|(_, names)| {
            let names = names.iter();
            dictionary(names.map(|(n, v)| (n.as_str(), Value::from(v.clone()))))
        });
        let by_kind = nested(&|(all, _)| Value::from(all.clone()));
        object_of([("by_kind", by_kind), ("by_name", by_name)])
    }
}

fn dictionary<'k>(fields: impl Iterator<Item = (&'k str, Value)>) -> Value {
    let fields: Fields = fields
        .map(|(key, value)| (Value::from(key), value))
        .collect();
    Value::Object(Rc::new(fields))
}

/// The neighbours of a stage or a cluster: every object in its other form, made when it is first
/// wanted, and what is seen from each render root, because an unknown namespace is the same only there.
struct Neighbours {
    objects: Vec<(Arc<Object>, OnceLock<Value>)>,
    views: Mutex<HashMap<(String, Kinds), View>>,
}

/// What the subject of a review sees around it of some kinds; an empty world where there is none.
pub(crate) fn view(cx: &Context<'_>, subject: &Object, kinds: &Kinds) -> View {
    let Some(inventory) = cx.world.inventory else {
        return View::new(Vec::new());
    };
    let neighbours = inventory.derived(|| Neighbours::of(inventory));
    match cx.incoming() {
        // Nobody else sees this world.
        Some(incoming) => neighbours.seen_from(subject, kinds, Some(incoming)),
        None => {
            let mut views = neighbours
                .views
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let root = match subject.namespace() {
                Namespace::Unknown(root) => root,
                // A named namespace is seen alike from everywhere, but for `default`.
                Namespace::Named("default") => subject.origin.root.as_str(),
                Namespace::Named(_) => "",
            };
            let key = (root.to_owned(), kinds.clone());
            if let Some(view) = views.get(&key) {
                return view.clone();
            }
            let view = neighbours.seen_from(subject, kinds, None);
            views.insert(key, view.clone());
            view
        }
    }
}

impl Neighbours {
    fn of(inventory: &Inventory) -> Neighbours {
        let objects = inventory.objects().iter();
        Neighbours {
            objects: objects.map(|o| (Arc::clone(o), OnceLock::new())).collect(),
            views: Mutex::default(),
        }
    }

    fn seen_from(&self, subject: &Object, kinds: &Kinds, incoming: Option<&Object>) -> View {
        let sees_root = !matches!(subject.namespace(), Namespace::Named(name) if name != "default");
        let visible = self.objects.iter().filter(|(object, _)| {
            if !kinds.contains(&object.reference.kind) {
                return false;
            }
            let is_elsewhere = match object.namespace() {
                Namespace::Named(_) => false,
                Namespace::Unknown(root) => !sees_root || root != subject.origin.root,
            };
            let is_replaced = incoming.is_some_and(|incoming| object.is_same_as(incoming));
            !(is_replaced || (is_elsewhere && !object.reference.is_cluster_scoped()))
        });
        let entry = |object: &Object, value: Value| {
            let namespace = namespace_of(object).to_owned();
            (object.reference.clone(), namespace, value)
        };
        let as_neighbour = |object: &Object| secrets::as_neighbour(object, object_value(object));
        let mut objects: Vec<_> = visible
            .map(|(object, value)| {
                entry(object, value.get_or_init(|| as_neighbour(object)).clone())
            })
            .collect();
        if let Some(incoming) = incoming.filter(|object| kinds.contains(&object.reference.kind)) {
            objects.push(entry(incoming, as_neighbour(incoming)));
        }
        View::new(objects)
    }
}
