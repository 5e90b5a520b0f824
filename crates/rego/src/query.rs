//! One question to one module, for trying and comparing.

use std::sync::Arc;

use regorus::Value;
use stagegate_manifest::{Sources, decode};

use crate::evaluate::Program;
use crate::module::{At, Dialect, Module, Place};
use crate::text::Purpose;
use crate::{LoadError, check};

/// The value of a rule of a module, as policies would get it; none where it is undefined. Sets become
/// sorted arrays.
///
/// `rule` is its path: `data.t.result`.
///
/// # Errors
/// What is wrong with the module, or what the evaluation ended with.
pub fn query(
    name: &str,
    text: &str,
    rule: &str,
    input: Option<&serde_json::Value>,
) -> Result<Option<serde_json::Value>, String> {
    let sources = Sources::new();
    let file = sources.add(name.to_owned(), decode(text.as_bytes().to_vec()));
    let source = sources.get(file).ok_or("the text is gone")?;
    let told = |error: LoadError| match sources.locate(error.mark) {
        Some(at) => format!("{}:{}: {}", at.line, at.column, error.message),
        None => error.message,
    };
    let place = Place {
        file,
        source: Arc::clone(&source),
        at: At::Whole,
    };
    let text = source.text.clone();
    let module = Module::parse(name.to_owned(), place, text, Purpose::Policy, Dialect::V1);
    let module = module.map_err(told)?;
    if let Some(error) = check::check(&[&module]).into_iter().next() {
        return Err(told(error));
    }
    let program = Program::new(vec![Arc::new(module)], Value::Undefined);
    program.compile().map_err(told)?;
    let input = input.map_or(Value::Undefined, |input| Value::from(input.clone()));
    let answer = program.evaluate(rule, input).map_err(|e| e.to_string())?;
    match answer {
        Value::Undefined => Ok(None),
        value => serde_json::to_value(&value)
            .map(Some)
            .map_err(|e| e.to_string()),
    }
}
