//! Measures Rego: `bench_rego OBJECTS [FOLDER]`.
//!
//! Thirty policies of six shapes judge Deployments, in Rego and natively, through `Engine::review`;
//! then two policies that look for a namesake judge Ingresses among more and more neighbours, one by
//! going through all of them and one through `data.index`. Prints a JSON object. With FOLDER, the
//! policies and the objects are written there, for OPA to be measured with the same.

#![allow(clippy::print_stdout, reason = "this is its output")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};
use stagegate_core::{
    Context, Cursor, Door, Engine, Inventory, Limits, Meta, Node, Object, Origin, Policy,
    PolicyError, Review, Settings, Stage, Subject, Violation, World,
};
use stagegate_manifest::{Sources, decode};
use stagegate_rego::{Folder, PolicyFile, load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POLICIES: usize = 30;

/// What policy `i` says, in Rego.
fn rego(i: usize) -> String {
    let containers = "some i, c in input.review.object.spec.template.spec.containers";
    let at = |field: &str| {
        format!("pointer := sprintf(\"/spec/template/spec/containers/%d/{field}\", [i])")
    };
    let (condition, pointer, message) = match i % 6 {
        0 => (
            format!("{containers}\n\tnot startswith(c.image, \"ghcr.io/\")"),
            at("image"),
            "sprintf(\"container %q has another registry\", [c.name])",
        ),
        1 => (
            format!("not input.review.object.metadata.labels.team{}", i / 24),
            "pointer := \"/metadata/labels\"".to_owned(),
            "\"the label is missing\"",
        ),
        2 => (
            format!(
                "object.get(input.review.object, [\"spec\", \"replicas\"], 1) < {}",
                i / 15
            ),
            "pointer := \"/spec/replicas\"".to_owned(),
            "sprintf(\"%d replicas are too few\", [input.review.object.spec.replicas])",
        ),
        3 => (
            format!("{containers}\n\tnot c.resources.limits.memory"),
            at("resources"),
            "sprintf(\"container %q has no memory limit\", [c.name])",
        ),
        4 => (
            "not input.review.object.spec.template.spec.securityContext.runAsNonRoot".to_owned(),
            "pointer := \"/spec/template/spec/securityContext\"".to_owned(),
            "\"it may run as root\"",
        ),
        _ => (
            format!("{containers}\n\tsome port in c.ports\n\tport.containerPort < {i}"),
            at("ports"),
            "sprintf(\"container %q listens on port %d\", [c.name, port.containerPort])",
        ),
    };
    format!(
        "# METADATA\n# title: Policy {i}\n# custom:\n#   matches: [apps/*/Deployment]\n\
         package stagegate.p{i}\n\nviolation contains {{\"msg\": msg, \"pointer\": pointer}} if {{\n\t\
         {condition}\n\t{pointer}\n\tmsg := {message}\n}}\n"
    )
}

/// The same natively.
struct Native(Meta, usize);

impl Policy for Native {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let Some(object) = cx.object() else {
            return Ok(Vec::new());
        };
        let i = self.1;
        let mut found = Vec::new();
        let root = Cursor::root(&object.node);
        let spec = root.member("spec");
        let template = spec.member("template");
        let pod = template.member("spec");
        let containers = pod.member("containers");
        let name = |c: &Cursor<'_>| {
            let name = c.member("name");
            name.node()
                .and_then(Node::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match i % 6 {
            0 => containers.items().for_each(|c| {
                let image = c.member("image");
                let text = image.node().and_then(Node::as_str).unwrap_or_default();
                if !text.starts_with("ghcr.io/") {
                    let message = format!("container {:?} has another registry", name(&c));
                    found.push(Violation::at(&image, message));
                }
            }),
            1 => {
                let label = format!("team{}", i / 24);
                if object.labels().get(&label).is_none() {
                    let metadata = root.member("metadata");
                    let message = "the label is missing".to_owned();
                    found.push(Violation::at(&metadata.member("labels"), message));
                }
            }
            2 => {
                let replicas = spec.member("replicas");
                let written = replicas.node().and_then(Node::as_i64).unwrap_or(1);
                if written < i64::try_from(i / 15).unwrap_or(0) {
                    let message = format!("{written} replicas are too few");
                    found.push(Violation::at(&replicas, message));
                }
            }
            3 => containers.items().for_each(|c| {
                let resources = c.member("resources");
                if resources.member("limits").member("memory").node().is_none() {
                    let message = format!("container {:?} has no memory limit", name(&c));
                    found.push(Violation::at(&resources, message));
                }
            }),
            4 => {
                let context = pod.member("securityContext");
                let non_root = context.member("runAsNonRoot");
                if non_root.node().and_then(Node::as_bool) != Some(true) {
                    found.push(Violation::at(&context, "it may run as root".to_owned()));
                }
            }
            _ => containers.items().for_each(|c| {
                let ports = c.member("ports");
                ports.items().for_each(|port| {
                    let number = port.member("containerPort");
                    let number = number.node().and_then(Node::as_i64).unwrap_or(i64::MAX);
                    if usize::try_from(number).is_ok_and(|n| n < i) {
                        let message = format!("container {:?} listens on port {number}", name(&c));
                        found.push(Violation::at(&port, message));
                    }
                });
            }),
        }
        Ok(found)
    }
}

fn deployment(i: usize) -> Value {
    let container = |name: &str| {
        json!({
            "name": name,
            "image": format!("ghcr.io/acme/{name}:1.{i}"),
            "args": ["--listen=:8080", "--log=json", "--timeout=30s"],
            "env": [{"name": "STAGE", "value": "prod"}, {"name": "LOG", "value": "info"}],
            "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
            "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        })
    };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("app-{i}"), "namespace": "shop",
                     "labels": {"app": format!("app-{i}"), "team0": "shop", "team1": "shop"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": format!("app-{i}")}},
            "template": {
                "metadata": {"labels": {"app": format!("app-{i}")}},
                "spec": {"securityContext": {"runAsNonRoot": true},
                         "containers": [container("api"), container("proxy")]},
            },
        },
    })
}

fn ingress(i: usize) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": format!("web-{i}"), "namespace": format!("shop-{}", i % 10)},
        "spec": {"rules": [{"host": format!("web-{i}.example.com")}]},
    })
}

/// A namesake among the Ingresses of the namespace: by going through all, or by looking it up.
fn namesake(by_index: bool) -> String {
    let search = if by_index {
        "some other in data.index.by_name.Ingress[input.review.namespace][input.review.name]"
    } else {
        "some other in data.index.by_kind.Ingress[input.review.namespace]\n\t\
         other.metadata.name == input.review.name"
    };
    format!(
        "# METADATA\n# title: t\n# custom:\n#   scope: stage\n#   matches: [\"*/*/Ingress\"]\n\
         package stagegate.namesake\n\nviolation contains {{\"msg\": \"a namesake\"}} if {{\n\t{search}\n\t\
         other.spec.rules[0].host != input.review.object.spec.rules[0].host\n}}\n"
    )
}

fn objects(values: &[Value]) -> Result<Vec<Arc<Object>>, Box<dyn Error>> {
    let origin = Arc::new(Origin::default());
    let made = values.iter().map(|value| {
        let node: Node = serde_json::from_value(value.clone())?;
        let object = Object::new(node, Arc::clone(&origin)).ok_or("not an object")?;
        Ok(Arc::new(object))
    });
    made.collect()
}

fn engine(texts: &[(String, String)]) -> Result<Engine, Box<dyn Error>> {
    let sources = Sources::new();
    let files = texts.iter().filter_map(|(path, text)| {
        let file = sources.add(path.clone(), decode(text.clone().into_bytes()));
        Some(PolicyFile {
            path: path.clone(),
            file,
            source: sources.get(file)?,
        })
    });
    let loaded = load(&Folder {
        files: files.collect(),
        packages: Vec::new(),
    });
    let loaded = loaded.map_err(|errors| errors[0].clone())?;
    let policies = loaded.policies.into_iter();
    let policies = policies
        .map(|p| Box::new(p.policy) as Box<dyn Policy>)
        .collect();
    Ok(Engine::new(policies, Settings::default())?)
}

/// Seconds for a review of each object, and how many findings there are.
fn review(
    engine: &Engine,
    objects: &[Arc<Object>],
    inventory: &Inventory,
    threads: bool,
) -> (f64, usize) {
    let stage = Stage::default_stage();
    let world = World {
        stage: &stage,
        inventory: Some(inventory),
        door: Door::Repository,
        files: None,
    };
    let one = |object: &Arc<Object>| {
        let subject = Subject::Review(Review::create(object));
        let verdict = engine.review(&subject, &world, &Limits::default());
        verdict.findings.len() + verdict.errors.len()
    };
    let began = Instant::now();
    let found = if threads {
        objects.par_iter().map(one).sum()
    } else {
        objects.iter().map(one).sum()
    };
    (began.elapsed().as_secs_f64(), found)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count: usize = arguments.first().ok_or("how many objects?")?.parse()?;
    let values: Vec<Value> = (0..count).map(deployment).collect();
    let texts: Vec<(String, String)> = (0..POLICIES)
        .map(|i| (format!("p{i}.rego"), rego(i)))
        .collect();
    if let Some(folder) = arguments.get(1) {
        let folder = Path::new(folder);
        for (path, text) in &texts {
            std::fs::write(folder.join(path), text)?;
        }
        let some: Vec<&Value> = values.iter().take(1000).collect();
        std::fs::write(folder.join("objects.json"), serde_json::to_vec(&some)?)?;
    }
    let objects_ = objects(&values)?;
    let nothing = Inventory::default();
    let in_rego = engine(&texts)?;
    let native = |i: usize| {
        let meta = Meta {
            id: format!("p{i}").into(),
            ..Meta::native("", "bench", "t", "")
        };
        Box::new(Native(meta, i)) as Box<dyn Policy>
    };
    let natively = Engine::new((0..POLICIES).map(native).collect(), Settings::default())?;
    // The first of each is not counted: it compiles.
    review(&in_rego, &objects_[..1], &nothing, false);
    let (rego_one, rego_found) = review(&in_rego, &objects_, &nothing, false);
    let (rego_all, _) = review(&in_rego, &objects_, &nothing, true);
    let (native_one, native_found) = review(&natively, &objects_, &nothing, false);
    if rego_found != native_found {
        return Err(format!("{rego_found} findings in Rego, {native_found} natively").into());
    }
    let mut growth = Vec::new();
    for neighbours in [100, 1_000, 10_000] {
        let values: Vec<Value> = (0..neighbours).map(ingress).collect();
        let ingresses = objects(&values)?;
        let mut row = vec![f64::from(u32::try_from(neighbours)?)];
        for by_index in [false, true] {
            let engine = engine(&[("namesake.rego".to_owned(), namesake(by_index))])?;
            let inventory = Inventory::new(ingresses.clone());
            review(&engine, &ingresses[..1], &inventory, false);
            let (seconds, _) = review(&engine, &ingresses[..100], &inventory, false);
            row.push(seconds / 100.0 * 1e6);
        }
        growth.push(row);
    }
    let evaluations = f64::from(u32::try_from(count * POLICIES)?);
    println!(
        "{}",
        json!({
            "objects": count,
            "policies": POLICIES,
            "findings": rego_found,
            "rego, s": rego_one,
            "rego on all cores, s": rego_all,
            "rego, us an evaluation": rego_one / evaluations * 1e6,
            "natively, s": native_one,
            "natively, us an evaluation": native_one / evaluations * 1e6,
            "neighbours, us through all, us by index": growth,
        })
    );
    Ok(())
}
