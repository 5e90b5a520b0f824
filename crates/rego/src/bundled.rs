//! The policies that come with the program, in our own form.
//!
//! Nothing but their metadata is read until one of them is evaluated: they are off unless they are
//! configured, and every run begins with them.

use std::sync::{Arc, OnceLock};

use regorus::Value;
use stagegate_core::{Context, FileId, KindPattern, Meta, Node, Policy, PolicyError, Violation};
use stagegate_manifest::{Sources, decode};

use crate::LoadError;
use crate::evaluate::Program;
use crate::folder::{category, closures, own_policy, stem};
use crate::metadata::Metadata;
use crate::module::{At, Dialect, Module, Place};
use crate::own::{self, OwnPolicy};
use crate::text::Purpose;

/// Path below `policies/`, and text.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// One of them. All engines of a process share what is compiled.
struct Bundled {
    meta: Meta,
    path: &'static str,
    text: &'static str,
    policy: OnceLock<Result<OwnPolicy, String>>,
}

impl Bundled {
    fn read(path: &'static str, text: &'static str) -> Result<Bundled, LoadError> {
        let metadata = Metadata::read(text, &place(path, text))?;
        let metadata = metadata.unwrap_or_default();
        Ok(Bundled {
            meta: own::meta_as_written(stem(path), category(path, ""), &metadata),
            path,
            text,
            policy: OnceLock::new(),
        })
    }

    fn policy(&self) -> Result<&OwnPolicy, PolicyError> {
        let policy = self.policy.get_or_init(|| {
            let mut errors = Vec::new();
            let policy = self.load(&mut errors);
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            policy.ok_or_else(|| told.join("; "))
        });
        policy
            .as_ref()
            .map_err(|error| PolicyError::Failed(error.clone()))
    }

    fn load(&self, errors: &mut Vec<LoadError>) -> Option<OwnPolicy> {
        let own = parse(self.path, self.text)
            .map_err(|e| errors.push(e))
            .ok()?;
        let own = Arc::new(own);
        let modules: Vec<Arc<Module>> = std::iter::once(Arc::clone(&own))
            .chain(libraries().cloned())
            .collect();
        let all: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
        let used = closures(&all).into_iter().next().unwrap_or_default();
        let used = used.into_iter().map(|i| Arc::clone(&modules[i]));
        let program = Arc::new(Program::new(used.collect(), Value::Undefined));
        let metadata = Metadata::read(self.text, &own.place);
        let metadata = metadata.map_err(|e| errors.push(e)).ok()?;
        own_policy(self.path, &own, metadata.as_ref(), program, errors)
    }
}

impl Policy for Bundled {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        self.policy()?.review(cx)
    }

    fn prepare(&self) {
        // What fails here fails in the first review, where it is told.
        if let Ok(policy) = self.policy() {
            policy.prepare();
        }
    }

    fn neighbours(&self, parameters: &Node) -> Vec<KindPattern> {
        let policy = self.policy();
        policy.map_or_else(|_| Vec::new(), |policy| policy.neighbours(parameters))
    }
}

/// A place that no table of the run holds: see Mark::NONE.
fn place(path: &str, text: &str) -> Place {
    let sources = Sources::new();
    let id = sources.add(path.to_owned(), decode(text.as_bytes().to_vec()));
    Place {
        file: FileId(u32::MAX),
        source: sources.get(id).unwrap_or_default(),
        at: At::Whole,
    }
}

fn parse(path: &str, text: &str) -> Result<Module, LoadError> {
    let (name, place) = (path.to_owned(), place(path, text));
    Module::parse(name, place, text.to_owned(), Purpose::Policy, Dialect::V1)
}

/// The helpers, which users' policies may import, too.
pub(crate) fn libraries() -> impl Iterator<Item = &'static Arc<Module>> {
    static LIBRARIES: OnceLock<Vec<Arc<Module>>> = OnceLock::new();
    let libraries = LIBRARIES.get_or_init(|| {
        let files = FILES.iter().filter(|(path, _)| is_library(path));
        // A test reads them all.
        let modules = files.filter_map(|(path, text)| parse(path, text).ok());
        modules.map(Arc::new).collect()
    });
    libraries.iter()
}

fn is_library(path: &str) -> bool {
    path.starts_with("lib/")
}

/// The policies that come with the program. They are off unless they are configured.
pub fn bundled() -> Vec<Box<dyn Policy>> {
    static POLICIES: OnceLock<Vec<Arc<Bundled>>> = OnceLock::new();
    let policies = POLICIES.get_or_init(|| {
        let files = FILES.iter().filter(|(path, _)| !is_library(path));
        let policies = files.filter_map(|(path, text)| Bundled::read(path, text).ok());
        policies.map(Arc::new).collect()
    });
    let policies = policies.iter().map(Arc::clone);
    policies
        .map(|policy| Box::new(policy) as Box<dyn Policy>)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_loads_and_compiles() {
        let modules: Vec<Module> = FILES
            .iter()
            .map(|(path, text)| parse(path, text).unwrap())
            .collect();
        let all: Vec<&Module> = modules.iter().collect();
        assert_eq!(crate::check::check(&all), []);
        assert_eq!(bundled().len() + libraries().count(), FILES.len());
        for (path, text) in FILES.iter().filter(|(path, _)| !is_library(path)) {
            let policy = Bundled::read(path, text).unwrap();
            let mut errors = Vec::new();
            let own = policy.load(&mut errors).unwrap();
            assert_eq!(errors, []);
            assert_eq!(own.program.compile(), Ok(()), "{path}");
            assert_eq!(format!("{:?}", own.meta), format!("{:?}", policy.meta));
        }
    }
}
