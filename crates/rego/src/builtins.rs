//! What Rego may call: the interpreter's builtins within bounds, and what old policies call besides.
//!
//! A builtin is one step for the budget, whatever it does. So what it may produce is bounded before
//! it runs, and what it produced is counted.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use crate::opa;

/// What one call may produce, in bytes of text or twice that of other values.
const MAX_RESULT: usize = 4 << 20;
/// What all calls of one evaluation may produce together.
const MAX_TOTAL: usize = 64 << 20;
/// How many items a call may make.
const MAX_ITEMS: usize = 100_000;
/// How many digits a number may have on its way in.
const MAX_DIGITS: usize = 64;

thread_local! {
    /// What the evaluation that runs on this thread has produced so far.
    static PRODUCED: Cell<usize> = const { Cell::new(0) };
}

/// Begins to count for an evaluation on this thread.
pub(crate) fn begin() {
    PRODUCED.set(0);
}

/// Why a builtin of OPA is not available, where that is on purpose.
pub(crate) fn refused(name: &str) -> Option<&'static str> {
    Some(match name {
        "http.send" | "net.lookup_ip_addr" => {
            "a verdict depends on nothing outside of the repository and the cluster"
        }
        "opa.runtime" => "a verdict does not depend on the environment",
        "time.now_ns" => "a verdict does not depend on the clock",
        "rand.intn" | "uuid.rfc4122" => "a verdict does not depend on chance",
        "io.jwt.decode_verify" => "it depends on the clock",
        "graph.reachable_paths" => "the number of paths has no bound",
        _ if name.starts_with("providers.") => "a verdict depends on nothing outside",
        _ => return None,
    })
}

/// How many arguments a builtin takes.
pub(crate) fn arity(name: &str) -> Option<usize> {
    let deprecated = DEPRECATED.iter().find(|(old, ..)| *old == name);
    BUILTINS
        .get(name)
        .map(|(_, arity)| usize::from(*arity))
        .or(deprecated.map(|(_, arity, _)| usize::from(*arity)))
}

/// The names of all builtins.
pub(crate) fn names() -> Vec<&'static str> {
    let all = BUILTINS.keys().copied();
    all.filter(|name| refused(name).is_none()).collect()
}

/// Replaces the builtins of an engine by bounded ones.
pub(crate) fn bound(engine: &mut Engine) -> Result<()> {
    let names: BTreeSet<&'static str> = BUILTINS.keys().copied().collect();
    for name in names {
        // Its result may stand among its arguments, which no other builtin allows.
        if matches!(name, "walk" | "print" | "trace") {
            continue;
        }
        let Some((_, arity)) = BUILTINS.get(name).copied() else {
            continue;
        };
        let replaced = opa::replaced(name);
        let call = move |arguments: Vec<Value>| -> Result<Value> {
            if let Some(why) = refused(name) {
                bail!("{name} is not available: {why}");
            }
            before(name, &arguments)?;
            let result = match replaced {
                Some(replaced) => replaced(&arguments)?,
                None => plain(name, &arguments)?,
            };
            produced(name, &result)?;
            Ok(result)
        };
        engine.add_extension(name.to_owned(), arity, Box::new(call))?;
    }
    for (name, arity, function) in DEPRECATED {
        let call = move |arguments: Vec<Value>| function(&arguments);
        engine.add_extension((*name).to_owned(), *arity, Box::new(call))?;
    }
    Ok(())
}

/// Calls a builtin of the interpreter as it is.
pub(crate) fn plain(name: &str, arguments: &[Value]) -> Result<Value> {
    thread_local! {
        /// Where a call is: nowhere.
        static NOWHERE: Option<(Span, Vec<Ref<Expr>>)> = {
            let source = Source::from_contents(String::new(), String::new()).ok();
            source.map(|source| {
                let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
                let most = BUILTINS.values().map(|(_, arity)| *arity).max();
                let nothing = (0..most.unwrap_or(0)).map(|_| {
                    let span = span.clone();
                    Ref::new(Expr::Null { span, value: Value::Null, eidx: 0 })
                });
                let nothing = nothing.collect();
                (span, nothing)
            })
        };
    }
    NOWHERE.with(|nowhere| {
        let Some(((span, nothing), (function, arity))) = nowhere.as_ref().zip(BUILTINS.get(name))
        else {
            bail!("{name} is not available");
        };
        let nothing = nothing.get(..usize::from(*arity)).unwrap_or_default();
        function(span, nothing, arguments, true).map_err(|e| anyhow!(reason(&e.to_string())))
    })
}

/// The message without the place, which is none.
fn reason(message: &str) -> String {
    crate::module::RegoMessage::of(message).text
}

pub(crate) fn produced(name: &str, result: &Value) -> Result<()> {
    let size = match result {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len() * 16,
        Value::Set(items) => items.len() * 32,
        Value::Object(fields) => fields.len() * 48,
        _ => 0,
    };
    let total = PRODUCED.get().saturating_add(size);
    PRODUCED.set(total);
    if size > 2 * MAX_RESULT || total > MAX_TOTAL {
        bail!("{name} makes more than there is room for");
    }
    Ok(())
}

/// Refuses calls whose result would be too large, before there is one.
fn before(name: &str, arguments: &[Value]) -> Result<()> {
    let text = |i: usize| match arguments.get(i) {
        Some(Value::String(text)) => text.as_ref(),
        _ => "",
    };
    let number = |i: usize| match arguments.get(i) {
        Some(Value::Number(n)) => n.as_i64(),
        _ => None,
    };
    let most: usize = match name {
        "numbers.range" | "numbers.range_step" => {
            let range = number(0).zip(number(1));
            let range = range.map_or(0, |(a, b)| a.abs_diff(b));
            // A step of nothing is the builtin's own error.
            let step = number(2).map_or(1, i64::unsigned_abs).max(1);
            if range / step >= MAX_ITEMS as u64 {
                bail!("{name} makes at most {MAX_ITEMS} numbers");
            }
            0
        }
        "net.cidr_expand" => {
            let bits: u32 = if text(0).contains(':') { 128 } else { 32 };
            let prefix = text(0)
                .rsplit_once('/')
                .and_then(|(_, n)| n.parse::<u32>().ok());
            if prefix.is_some_and(|prefix| bits.saturating_sub(prefix) > 16) {
                bail!("{name} makes at most 65536 addresses");
            }
            0
        }
        "bits.lsh" if number(1).is_none_or(|by| by > 1024) => {
            bail!("{name} shifts by 1024 at the most")
        }
        "units.parse" | "units.parse_bytes" | "to_number" | "format_int"
            if text(0).len() > MAX_DIGITS || has_long_exponent(text(0)) =>
        {
            bail!("{name}: the number is too long")
        }
        "replace" => {
            let (old, new) = (text(1), text(2));
            let times = text(0).len() / old.len().max(1) + 1;
            text(0)
                .len()
                .saturating_add(times.saturating_mul(new.len()))
        }
        "strings.replace_n" => {
            let longest = longest_value(arguments.first());
            text(1)
                .len()
                .saturating_add((text(1).len() + 1).saturating_mul(longest))
        }
        "regex.replace" => {
            let groups = text(2).matches('$').count();
            let by_match = text(2).len().saturating_mul(text(0).len() + 1);
            by_match.saturating_add(groups.saturating_mul(text(0).len()))
        }
        "concat" => {
            let items = arguments.get(1).map_or(0, |v| size(v, MAX_RESULT));
            let count = count(arguments.get(1));
            items.saturating_add(count.saturating_mul(text(0).len()))
        }
        "sprintf" => {
            if has_long_width(text(0)) {
                bail!("sprintf: a width has three digits at the most");
            }
            let items = arguments.get(1).map_or(0, |v| size(v, MAX_RESULT));
            text(0).len().saturating_mul(4).saturating_add(items)
        }
        "split" => text(0).len().saturating_mul(16),
        "regex.split" => text(1).len().saturating_mul(16),
        "array.concat" | "object.union" => arguments.iter().map(|v| count(Some(v)) * 16).sum(),
        // What comes in is written out.
        "json.marshal"
        | "json.marshal_with_options"
        | "yaml.marshal"
        | "base64.encode"
        | "base64url.encode"
        | "base64url.encode_no_pad"
        | "hex.encode"
        | "urlquery.encode"
        | "urlquery.encode_object"
        | "json.patch"
        | "object.union_n"
        | "yaml.unmarshal"
        | "json.unmarshal" => arguments.iter().map(|v| size(v, MAX_RESULT)).sum(),
        _ => 0,
    };
    if most > MAX_RESULT {
        bail!("{name} may make more than {MAX_RESULT} bytes");
    }
    Ok(())
}

/// Whether a number in scientific notation has more digits than anybody counts.
fn has_long_exponent(text: &str) -> bool {
    let exponent = text.rsplit_once(['e', 'E']).map(|(_, exponent)| exponent);
    exponent.is_some_and(|e| e.bytes().filter(u8::is_ascii_digit).count() > 3)
}

/// Whether a format pads to more than 999.
fn has_long_width(format: &str) -> bool {
    format.split('%').skip(1).any(|verb| {
        let width = verb.trim_start_matches(['+', '-', '#', ' ', '0']);
        let longest = width
            .split(|c: char| !c.is_ascii_digit())
            .take(2)
            .map(str::len)
            .max();
        longest.unwrap_or(0) > 3
    })
}

fn count(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Set(items)) => items.len(),
        Some(Value::Object(fields)) => fields.len(),
        _ => 0,
    }
}

fn longest_value(value: Option<&Value>) -> usize {
    match value {
        Some(Value::Object(fields)) => {
            let texts = fields.iter().filter_map(|(_, v)| v.as_string().ok());
            texts.map(|text| text.len()).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// About how long a value is when it is written; stops counting behind `limit`. One that holds itself
/// many times over is as long as it looks.
fn size(value: &Value, limit: usize) -> usize {
    fn add(value: &Value, sum: &mut usize, limit: usize) {
        if *sum > limit {
            return;
        }
        *sum += 2;
        match value {
            Value::String(text) => *sum += text.len(),
            Value::Array(items) => items.iter().for_each(|item| add(item, sum, limit)),
            Value::Set(items) => items.iter().for_each(|item| add(item, sum, limit)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                add(key, sum, limit);
                add(value, sum, limit);
            }),
            _ => *sum += 8,
        }
    }
    let mut sum = 0;
    add(value, &mut sum, limit);
    sum
}

type Deprecated = (&'static str, u8, fn(&[Value]) -> Result<Value>);

/// What Rego v0 has besides, and policies written for Gatekeeper still call.
const DEPRECATED: &[Deprecated] = &[
    ("all", 1, |arguments| {
        let is_true = |value: &Value| *value == Value::Bool(true);
        Ok(Value::from(match arguments {
            [Value::Array(items)] => items.iter().all(is_true),
            [Value::Set(items)] => items.iter().all(is_true),
            _ => bail!("all takes an array or a set"),
        }))
    }),
    ("any", 1, |arguments| {
        let is_true = |value: &Value| *value == Value::Bool(true);
        Ok(Value::from(match arguments {
            [Value::Array(items)] => items.iter().any(is_true),
            [Value::Set(items)] => items.iter().any(is_true),
            _ => bail!("any takes an array or a set"),
        }))
    }),
    ("re_match", 2, |arguments| {
        match opa::replaced("regex.match") {
            Some(replaced) => replaced(arguments),
            None => bail!("re_match is not available"),
        }
    }),
    ("net.cidr_overlap", 2, |arguments| {
        match opa::replaced("net.cidr_contains") {
            Some(replaced) => replaced(arguments),
            None => bail!("net.cidr_overlap is not available"),
        }
    }),
    ("cast_string", 1, |arguments| match arguments {
        [text @ Value::String(_)] => Ok(text.clone()),
        _ => bail!("cast_string takes a string"),
    }),
    ("cast_boolean", 1, |arguments| match arguments {
        [boolean @ Value::Bool(_)] => Ok(boolean.clone()),
        _ => bail!("cast_boolean takes a boolean"),
    }),
    ("cast_null", 1, |arguments| match arguments {
        [Value::Null] => Ok(Value::Null),
        _ => bail!("cast_null takes null"),
    }),
    ("cast_object", 1, |arguments| match arguments {
        [object @ Value::Object(_)] => Ok(object.clone()),
        _ => bail!("cast_object takes an object"),
    }),
    ("set_diff", 2, |arguments| match arguments {
        [Value::Set(a), Value::Set(b)] => {
            let left = a.iter().filter(|item| b.get(item).is_none()).cloned();
            Ok(Value::Set(regorus::Rc::new(left.collect())))
        }
        _ => bail!("set_diff takes two sets"),
    }),
    ("cast_array", 1, |arguments| match arguments {
        [array @ Value::Array(_)] => Ok(array.clone()),
        [Value::Set(items)] => Ok(Value::from(
            items.iter_sorted().cloned().collect::<Vec<_>>(),
        )),
        _ => bail!("cast_array takes an array or a set"),
    }),
    ("cast_set", 1, |arguments| match arguments {
        [set @ Value::Set(_)] => Ok(set.clone()),
        [Value::Array(items)] => Ok(Value::Set(regorus::Rc::new(
            items.iter().cloned().collect(),
        ))),
        _ => bail!("cast_set takes an array or a set"),
    }),
];
