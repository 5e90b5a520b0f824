//! The policies that come with the program, in our own form.

use std::sync::{Arc, OnceLock};

use regorus::Value;
use stagegate_core::{FileId, Policy};
use stagegate_manifest::{Sources, decode};

use crate::LoadError;
use crate::evaluate::Program;
use crate::folder::{closure, own_policy};
use crate::metadata::Metadata;
use crate::module::{At, Dialect, Module, Place};
use crate::own::OwnPolicy;
use crate::text::Purpose;

/// Path below `policies/`, and text.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The modules of all files, parsed once.
static MODULES: OnceLock<(Vec<Arc<Module>>, Vec<LoadError>)> = OnceLock::new();

fn modules() -> &'static (Vec<Arc<Module>>, Vec<LoadError>) {
    MODULES.get_or_init(|| {
        let sources = Sources::new();
        let mut errors = Vec::new();
        let mut modules = Vec::new();
        for (path, text) in FILES {
            let id = sources.add((*path).to_owned(), decode(text.as_bytes().to_vec()));
            let Some(source) = sources.get(id) else {
                continue;
            };
            // No table of the run holds these files: see Mark::NONE.
            let place = Place {
                file: FileId(u32::MAX),
                source,
                at: At::Whole,
            };
            let name = (*path).to_owned();
            match Module::parse(
                name,
                place,
                (*text).to_owned(),
                Purpose::Policy,
                Dialect::V1,
            ) {
                Ok(module) => modules.push(Arc::new(module)),
                Err(error) => errors.push(error),
            }
        }
        (modules, errors)
    })
}

/// The helpers among them, which users' policies may import.
pub(crate) fn libraries() -> impl Iterator<Item = &'static Arc<Module>> {
    modules()
        .0
        .iter()
        .filter(|module| module.name.starts_with("lib/"))
}

/// The policies that come with the program; all engines of a process share what is compiled, when it
/// is first evaluated. They are off unless they are configured.
pub fn bundled() -> Vec<Box<dyn Policy>> {
    static POLICIES: OnceLock<Vec<Arc<OwnPolicy>>> = OnceLock::new();
    let policies = POLICIES.get_or_init(|| read().0);
    let policies = policies.iter().map(Arc::clone);
    policies
        .map(|policy| Box::new(policy) as Box<dyn Policy>)
        .collect()
}

fn read() -> (Vec<Arc<OwnPolicy>>, Vec<LoadError>) {
    let (modules, errors) = modules();
    let mut errors = errors.clone();
    let mut policies = Vec::new();
    let all: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
    for (i, module) in modules.iter().enumerate() {
        if module.name.starts_with("lib/") {
            continue;
        }
        let metadata = Metadata::read(&module.original, &module.place);
        let program = closure(&all, i)
            .into_iter()
            .map(|i| Arc::clone(&modules[i]));
        let program = Arc::new(Program::new(program.collect(), Value::Undefined));
        match metadata {
            Ok(metadata) => {
                let path = &module.name;
                let own = own_policy(path, module, metadata.as_ref(), program, &mut errors);
                policies.extend(own.map(Arc::new));
            }
            Err(error) => errors.push(error),
        }
    }
    (policies, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_loads_and_compiles() {
        let (policies, errors) = read();
        assert_eq!(errors, []);
        let (modules, _) = modules();
        let all: Vec<&Module> = modules.iter().map(AsRef::as_ref).collect();
        assert_eq!(crate::check::check(&all), []);
        for policy in &policies {
            assert_eq!(policy.program.compile(), Ok(()), "{}", policy.meta.id);
        }
        let libraries = libraries().count();
        assert_eq!(policies.len() + libraries, FILES.len());
    }
}
