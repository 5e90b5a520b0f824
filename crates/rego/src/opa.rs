//! Builtins that answer as OPA's do, where the interpreter's answer otherwise.
//!
//! Some only get other arguments, some are written anew. What is undefined in OPA because of an error
//! is an error here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use anyhow::{Result, anyhow, bail};
use regex::{Regex, RegexBuilder};
use regorus::{Rc, Value};
use stagegate_manifest::{Decoded, Format, ProblemKind, Profile, Sources};

use crate::builtins::plain;
use crate::convert::value_of;
use crate::patterns::{from_glob, from_re2, quoted};

/// A builtin: its arguments are as many as it takes.
pub(crate) type Builtin = fn(&[Value]) -> Result<Value>;

/// What a compiled pattern may take, as in the interpreter.
const MAX_COMPILED: usize = 100 * 1024;
/// How many patterns a thread keeps compiled.
const MAX_PATTERNS: usize = 64;

/// The builtin of OPA, where the interpreter's is another one.
pub(crate) fn replaced(name: &str) -> Option<Builtin> {
    Some(match name {
        "regex.match" => |arguments| {
            let (pattern, text) = two_texts("regex.match", arguments)?;
            let regex = from_pattern(pattern).map_err(|e| anyhow!("regex.match: {e}"))?;
            Ok(Value::from(regex.is_match(text)))
        },
        "regex.find_n" => |arguments| with_pattern("regex.find_n", 0, arguments),
        "regex.find_all_string_submatch_n" => {
            |arguments| with_pattern("regex.find_all_string_submatch_n", 0, arguments)
        }
        "regex.replace" => |arguments| with_pattern("regex.replace", 1, arguments),
        "regex.split" => regex_split,
        "regex.is_valid" => |arguments| {
            let pattern = text("regex.is_valid", arguments, 0);
            match pattern.and_then(from_re2) {
                Ok(pattern) => plain("regex.is_valid", &[Value::from(pattern)]),
                Err(_) => Ok(Value::Bool(false)),
            }
        },
        "regex.template_match" => template_match,
        "glob.match" => glob_match,
        "glob.quote_meta" => |arguments| {
            let glob = text("glob.quote_meta", arguments, 0)?;
            let mut out = String::with_capacity(glob.len());
            for c in glob.chars() {
                if r"*?\[]{}".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            Ok(Value::from(out))
        },
        "count" => |arguments| match arguments {
            [Value::String(text)] => Ok(Value::from(text.chars().count())),
            _ => plain("count", arguments),
        },
        "strings.count" => |arguments| {
            let (base, search) = two_texts("strings.count", arguments)?;
            Ok(Value::from(match search {
                "" => base.chars().count() + 1,
                search => base.matches(search).count(),
            }))
        },
        "indexof" => |arguments| searched("indexof", arguments),
        "indexof_n" => |arguments| searched("indexof_n", arguments),
        "strings.replace_n" => replace_n,
        "upper" => |arguments| {
            let text = text("upper", arguments, 0)?;
            Ok(Value::from(text.chars().map(upper).collect::<String>()))
        },
        "lower" => |arguments| {
            let text = text("lower", arguments, 0)?;
            Ok(Value::from(text.chars().map(lower).collect::<String>()))
        },
        "to_number" => |arguments| match arguments {
            [Value::String(text)] => match decimal(text) {
                Some(number) => plain("to_number", &[Value::from(number)]),
                None => bail!("to_number: the text is no number"),
            },
            _ => plain("to_number", arguments),
        },
        "units.parse_bytes" => |arguments| {
            let bytes = bytes(text("units.parse_bytes", arguments, 0)?)?;
            plain("to_number", &[Value::from(bytes)])
        },
        "semver.compare" => |arguments| {
            let (a, b) = two_texts("semver.compare", arguments)?;
            let (a, b) = (Version::parse(a), Version::parse(b));
            let (Some(a), Some(b)) = (a, b) else {
                bail!("semver.compare: the text is no version");
            };
            Ok(Value::from(a.compare(&b) as i64))
        },
        "semver.is_valid" => |arguments| {
            let version = text("semver.is_valid", arguments, 0).ok();
            Ok(Value::Bool(version.and_then(Version::parse).is_some()))
        },
        "object.subset" => |arguments| match arguments {
            [a, b] => match is_subset(a, b) {
                Some(answer) => Ok(Value::Bool(answer)),
                None => bail!("object.subset takes two objects, two sets, or arrays"),
            },
            _ => bail!("object.subset takes two arguments"),
        },
        "json.filter" => |arguments| by_paths("json.filter", arguments, filter),
        "json.remove" => |arguments| by_paths("json.remove", arguments, remove),
        "json.is_valid" => |arguments| is_valid("json.is_valid", arguments),
        "json.marshal" => |arguments| plain("json.marshal", arguments).map(html_escaped),
        "json.marshal_with_options" => {
            |arguments| plain("json.marshal_with_options", arguments).map(html_escaped)
        }
        "base64.is_valid" => {
            |arguments| Ok(base64("base64.is_valid", arguments).unwrap_or(Value::Bool(false)))
        }
        "base64.decode" => |arguments| base64("base64.decode", arguments),
        "base64url.decode" => |arguments| base64("base64url.decode", arguments),
        "urlquery.encode" => |arguments| {
            let text = text("urlquery.encode", arguments, 0)?;
            Ok(Value::from(query_escaped(text)))
        },
        "urlquery.decode" => |arguments| {
            let text = text("urlquery.decode", arguments, 0)?;
            query_unescaped(text).map(Value::from)
        },
        "urlquery.encode_object" => encode_object,
        "urlquery.decode_object" => decode_object,
        "yaml.unmarshal" => |arguments| yaml(text("yaml.unmarshal", arguments, 0)?),
        "yaml.is_valid" => |arguments| {
            let text = text("yaml.is_valid", arguments, 0);
            Ok(Value::Bool(text.and_then(yaml).is_ok()))
        },
        "time.add_date" => add_date,
        "net.cidr_is_valid" => |arguments| is_valid("net.cidr_is_valid", arguments),
        "net.cidr_contains" => |arguments| plain("net.cidr_contains", &unmapped(arguments)),
        "net.cidr_expand" => |arguments| match plain("net.cidr_expand", arguments)? {
            Value::Array(addresses) => Ok(set_of(addresses.iter().cloned())),
            other => Ok(other),
        },
        _ => return None,
    })
}

fn text<'a>(name: &str, arguments: &'a [Value], i: usize) -> Result<&'a str> {
    match arguments.get(i) {
        Some(Value::String(text)) => Ok(text),
        _ => bail!("{name}: argument {} must be a string", i + 1),
    }
}

fn two_texts<'a>(name: &str, arguments: &'a [Value]) -> Result<(&'a str, &'a str)> {
    Ok((text(name, arguments, 0)?, text(name, arguments, 1)?))
}

fn set_of(items: impl Iterator<Item = Value>) -> Value {
    Value::Set(Rc::new(items.collect()))
}

/// What is no string is not valid, rather than an error.
fn is_valid(name: &str, arguments: &[Value]) -> Result<Value> {
    match arguments {
        [Value::String(_)] => plain(name, arguments),
        _ => Ok(Value::Bool(false)),
    }
}

// Patterns

fn with_pattern(name: &str, i: usize, arguments: &[Value]) -> Result<Value> {
    let mut arguments = arguments.to_vec();
    if let Some(Value::String(pattern)) = arguments.get(i) {
        let pattern = from_re2(pattern).map_err(|e| anyhow!("{name}: invalid pattern: {e}"))?;
        if let Some(argument) = arguments.get_mut(i) {
            *argument = Value::from(pattern);
        }
    }
    match plain(name, &arguments)? {
        Value::Undefined => bail!("{name}: invalid pattern"),
        result => Ok(result),
    }
}

/// A pattern of RE2, compiled.
fn from_pattern(pattern: &str) -> Result<Rc<Regex>> {
    thread_local! {
        static COMPILED: Compiled = const { Compiled::new() };
    }
    COMPILED.with(|known| known.get(pattern, || from_re2(pattern)))
}

/// Patterns that a thread has compiled, by what they were written as. They are shared and not copied:
/// a copy would take memory of its own to match in, each time anew.
struct Compiled(RefCell<Option<HashMap<String, Rc<Regex>>>>);

impl Compiled {
    const fn new() -> Compiled {
        Compiled(RefCell::new(None))
    }

    fn get(&self, written: &str, pattern: impl FnOnce() -> Result<String>) -> Result<Rc<Regex>> {
        let mut known = self.0.borrow_mut();
        let known = known.get_or_insert_default();
        if let Some(regex) = known.get(written) {
            return Ok(Rc::clone(regex));
        }
        let regex = Rc::new(compiled(pattern()?)?);
        if known.len() >= MAX_PATTERNS {
            known.clear();
        }
        known.insert(written.to_owned(), Rc::clone(&regex));
        Ok(regex)
    }
}

/// A pattern that is in the syntax of the crate already.
fn compiled(pattern: String) -> Result<Regex> {
    let mut builder = RegexBuilder::new(&pattern);
    let regex = builder.size_limit(MAX_COMPILED).build();
    regex.map_err(|e| anyhow!("invalid pattern: {e}"))
}

/// As `Regexp.Split` of Go: what matches nothing at either end splits nothing off.
fn regex_split(arguments: &[Value]) -> Result<Value> {
    let (pattern, text) = two_texts("regex.split", arguments)?;
    let regex = from_pattern(pattern).map_err(|e| anyhow!("regex.split: {e}"))?;
    if text.is_empty() && !pattern.is_empty() {
        return Ok(Value::from(vec![Value::from("")]));
    }
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for found in regex.find_iter(text) {
        end = found.start();
        if found.end() != 0 {
            parts.push(Value::from(text.get(begin..end).unwrap_or_default()));
        }
        begin = found.end();
    }
    if end != text.len() {
        parts.push(Value::from(text.get(begin..).unwrap_or_default()));
    }
    Ok(Value::from(parts))
}

/// Text with patterns between delimiters, which may hold the delimiters in pairs.
fn template_match(arguments: &[Value]) -> Result<Value> {
    let name = "regex.template_match";
    let (template, value) = two_texts(name, arguments)?;
    let (start, end) = (text(name, arguments, 2)?, text(name, arguments, 3)?);
    let (&[start], &[end]) = (start.as_bytes(), end.as_bytes()) else {
        bail!("{name}: a delimiter is one character of ASCII");
    };
    let unbalanced = || anyhow!("{name}: the delimiters of the template are not balanced");
    let mut pattern = String::from("^");
    let (mut level, mut from) = (0_usize, 0);
    for (i, byte) in template.bytes().enumerate() {
        if byte == start {
            level += 1;
            if level == 1 {
                pattern.push_str(&quoted(template.get(from..i).unwrap_or_default()));
                from = i + 1;
            }
        } else if byte == end {
            level = level.checked_sub(1).ok_or_else(unbalanced)?;
            if level == 0 {
                let inside = template.get(from..i).unwrap_or_default();
                // By itself too, so that it closes no group of ours.
                from_re2(inside).and_then(compiled)?;
                pattern.extend(["(", inside, ")"]);
                from = i + 1;
            }
        }
    }
    if level != 0 {
        return Err(unbalanced());
    }
    pattern.push_str(&quoted(template.get(from..).unwrap_or_default()));
    pattern.push('$');
    let regex = from_pattern(&pattern).map_err(|e| anyhow!("{name}: {e}"))?;
    Ok(Value::from(regex.is_match(value)))
}

pub(crate) fn glob_match(arguments: &[Value]) -> Result<Value> {
    let name = "glob.match";
    let (glob, value) = (text(name, arguments, 0)?, text(name, arguments, 2)?);
    let delimiters = match arguments.get(1) {
        Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) if items.is_empty() => vec!['.'],
        Some(Value::Array(items)) => {
            let one = |item: &Value| {
                let mut chars = item.as_string().ok()?.chars();
                chars.next().filter(|_| chars.next().is_none())
            };
            let delimiters: Option<Vec<char>> = items.iter().map(one).collect();
            delimiters.ok_or_else(|| anyhow!("{name}: a delimiter is one character"))?
        }
        _ => bail!("{name}: argument 2 must be an array or null"),
    };
    thread_local! {
        static COMPILED: Compiled = const { Compiled::new() };
    }
    // No delimiter is a control character that a glob could hold as well.
    let written: String = glob
        .chars()
        .chain(['\0'])
        .chain(delimiters.iter().copied())
        .collect();
    let regex = COMPILED.with(|known| known.get(&written, || from_glob(glob, &delimiters)));
    let regex = regex.map_err(|e| anyhow!("{name}: {e}"))?;
    Ok(Value::from(regex.is_match(value)))
}

// Text

fn searched(name: &str, arguments: &[Value]) -> Result<Value> {
    if two_texts(name, arguments)?.1.is_empty() {
        bail!("{name}: the search string is empty");
    }
    plain(name, arguments)
}

/// As `strings.NewReplacer` of Go: from left to right, the first of the sorted keys that fits, and
/// nothing is looked for in what was put in.
fn replace_n(arguments: &[Value]) -> Result<Value> {
    let name = "strings.replace_n";
    let Some(Value::Object(patterns)) = arguments.first() else {
        bail!("{name}: argument 1 must be an object");
    };
    let whole = text(name, arguments, 1)?;
    let mut empty = None;
    let mut by_first: HashMap<u8, Vec<(&str, &str)>> = HashMap::new();
    for (key, value) in patterns.iter_sorted() {
        let (Value::String(key), Value::String(value)) = (key, value) else {
            bail!("{name}: keys and values must be strings");
        };
        match key.as_bytes().first() {
            Some(first) => by_first.entry(*first).or_default().push((key, value)),
            None => empty = Some(value.as_ref()),
        }
    }
    let mut out = String::with_capacity(whole.len());
    let mut rest = whole;
    let mut was_empty = false;
    loop {
        // It is the first of all keys, but does not fit twice in one place.
        if let Some(value) = empty.filter(|_| !was_empty) {
            out.push_str(value);
            was_empty = true;
            continue;
        }
        was_empty = false;
        let Some(first) = rest.as_bytes().first() else {
            break;
        };
        let candidates = by_first.get(first).map_or(&[][..], Vec::as_slice);
        let fits = |(key, _): &&(&str, &str)| rest.starts_with(key);
        let (length, new) = match candidates.iter().find(fits) {
            Some((key, value)) => (key.len(), *value),
            None => {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                (length, rest.get(..length).unwrap_or_default())
            }
        };
        out.push_str(new);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(Value::from(out))
}

/// The one letter for a letter, which is not always what a text becomes as a whole.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        // They become their form with the iota below.
        _ => match c {
            '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
                char::from_u32(u32::from(c) + 8).unwrap_or(c)
            }
            '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
            c => c,
        },
    }
}

fn lower(c: char) -> char {
    let mut all = c.to_lowercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        _ if c == 'İ' => 'i',
        _ => c,
    }
}

/// What `json.Marshal` of Go writes: no text of it opens a tag.
fn html_escaped(json: Value) -> Value {
    let Value::String(text) = &json else {
        return json;
    };
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str(r"\u003c"),
            '>' => out.push_str(r"\u003e"),
            '&' => out.push_str(r"\u0026"),
            '\u{2028}' => out.push_str(r"\u2028"),
            '\u{2029}' => out.push_str(r"\u2029"),
            c => out.push(c),
        }
    }
    Value::from(out)
}

/// Base64 as Go reads it: lines may be broken, and padding ends the text.
fn base64(name: &str, arguments: &[Value]) -> Result<Value> {
    let text = text(name, arguments, 0)?.replace(['\r', '\n'], "");
    if text.trim_end_matches('=').contains('=') {
        bail!("{name}: there is something behind the padding");
    }
    plain(name, &[Value::from(text)])
}

/// As `url.QueryEscape` of Go.
fn query_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

/// As `url.QueryUnescape` of Go.
fn query_unescaped(text: &str) -> Result<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => bail!("a % that is followed by no two digits"),
            },
            byte => byte,
        });
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn encode_object(arguments: &[Value]) -> Result<Value> {
    let wrong = || anyhow!("urlquery.encode_object takes an object of strings, or lists of them");
    let Some(Value::Object(fields)) = arguments.first() else {
        return Err(wrong());
    };
    let mut pairs = Vec::new();
    for (key, value) in fields.iter_sorted() {
        let Value::String(key) = key else {
            return Err(wrong());
        };
        let values: Vec<&Value> = match value {
            Value::String(_) => vec![value],
            Value::Array(items) => items.iter().collect(),
            Value::Set(items) => items.iter_sorted().collect(),
            _ => return Err(wrong()),
        };
        let key = query_escaped(key);
        for value in values {
            let Value::String(value) = value else {
                return Err(wrong());
            };
            pairs.push(format!("{key}={}", query_escaped(value)));
        }
    }
    Ok(Value::from(pairs.join("&")))
}

fn decode_object(arguments: &[Value]) -> Result<Value> {
    let text = text("urlquery.decode_object", arguments, 0)?;
    let mut fields: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            bail!("urlquery.decode_object: a semicolon has to be escaped");
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let values = fields.entry(query_unescaped(key)?).or_default();
        values.push(Value::from(query_unescaped(value)?));
    }
    let fields = fields.into_iter();
    let fields = fields.map(|(key, values)| (Value::from(key), Value::from(values)));
    Ok(Value::Object(Rc::new(fields.collect())))
}

/// The first document, as `sigs.k8s.io/yaml` reads it.
fn yaml(text: &str) -> Result<Value> {
    let sources = Sources::new();
    let decoded = Decoded {
        text: text.to_owned(),
        invalid: Vec::new(),
    };
    let file = sources.add(String::new(), decoded);
    let Some(source) = sources.get(file) else {
        bail!("the text cannot be read");
    };
    let loaded = stagegate_manifest::load(file, &source, Format::Yaml, Profile::Apply);
    let first = loaded.documents.first();
    let begin = first.map_or(u32::MAX, |node| node.mark.start);
    let before = text.get(..usize::try_from(begin)?).unwrap_or(text);
    // What is wrong behind the first document is never looked at.
    let problems = loaded.problems.iter();
    let mut wrong = problems.filter(|p| p.kind == ProblemKind::Unreadable);
    if let Some(problem) = wrong.find(|p| p.mark.start < begin) {
        bail!("{}", problem.message);
    }
    // Empty documents are left out by the reader.
    let is_separator = |line: &&str| line.starts_with("---");
    if before.lines().filter(is_separator).count() > 1 {
        return Ok(Value::Null);
    }
    Ok(first.map_or(Value::Null, value_of))
}

// Numbers

/// A number that `strconv.ParseFloat` of Go reads, as it is written in JSON.
fn decimal(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut out = String::from(sign);
    match whole.trim_start_matches('0') {
        "" => out.push('0'),
        whole => out.push_str(whole),
    }
    if !fraction.is_empty() {
        out.extend([".", fraction]);
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !are_digits(digits) {
            return None;
        }
        out.extend(["e", exponent]);
    }
    Some(out)
}

/// Whole bytes, in digits. Fractions are cut off, and numbers have 64 bits on the way, as in OPA.
fn bytes(text: &str) -> Result<String> {
    let text = text.to_lowercase().replace('"', "");
    if text.contains(' ') {
        bail!("units.parse_bytes: spaces are not allowed");
    }
    let (number, unit) = number_and_unit(&text);
    let factor: u64 = match unit {
        "" => 1,
        "k" | "kb" => 1000,
        "ki" | "kib" => 1 << 10,
        "m" | "mb" => 1000_u64.pow(2),
        "mi" | "mib" => 1 << 20,
        "g" | "gb" => 1000_u64.pow(3),
        "gi" | "gib" => 1 << 30,
        "t" | "tb" => 1000_u64.pow(4),
        "ti" | "tib" => 1 << 40,
        "p" | "pb" => 1000_u64.pow(5),
        "pi" | "pib" => 1 << 50,
        "e" | "eb" => 1000_u64.pow(6),
        "ei" | "eib" => 1 << 60,
        _ => bail!("units.parse_bytes: the unit is not known"),
    };
    let wrong = || anyhow!("units.parse_bytes: there is no number");
    let number = decimal(number).ok_or_else(wrong)?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", number.as_str()),
    };
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let exponent = exponent - i64::try_from(fraction.len())?;
    let too_long = || anyhow!("units.parse_bytes: the number is too long");
    let digits: u128 = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| too_long())?;
    let power = || u32::try_from(exponent.unsigned_abs()).ok();
    let power = power().and_then(|power| 10_u128.checked_pow(power));
    let power = power.ok_or_else(too_long)?;
    let rounded = if exponent >= 0 {
        Float::of(digits.checked_mul(power).ok_or_else(too_long)?, 1)
    } else {
        Float::of(digits, power)
    };
    let product = rounded.times(factor).whole().ok_or_else(too_long)?;
    Ok(match product {
        0 => "0".to_owned(),
        product => format!("{sign}{product}"),
    })
}

/// Where the number ends, and the unit begins.
fn number_and_unit(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        let next = bytes.get(i + 1);
        match byte {
            b'0'..=b'9' | b'.' | b'+' | b'-' => {}
            b'e' => match next {
                Some(b'0'..=b'9') => {}
                Some(b'+' | b'-') => i += 1,
                _ => break,
            },
            _ => break,
        }
        i += 1;
    }
    text.split_at_checked(i).unwrap_or((text, ""))
}

/// A binary number whose mantissa has 64 bits: `big.Float` of Go as OPA uses it.
struct Float {
    mantissa: u64,
    exponent: i32,
}

impl Float {
    /// The nearest to a quotient, the even one of two.
    fn of(dividend: u128, divisor: u128) -> Float {
        let mut quotient = dividend / divisor;
        let mut rest = dividend % divisor;
        let mut exponent = 0;
        if dividend == 0 {
            return Float {
                mantissa: 0,
                exponent,
            };
        }
        // Two bits more than are kept: the half, and whether there is anything behind it.
        while quotient < 1 << 66 {
            let bit = rest >= divisor - rest;
            rest = if bit {
                rest - (divisor - rest)
            } else {
                rest * 2
            };
            quotient = quotient << 1 | u128::from(bit);
            exponent -= 1;
        }
        Float::rounded(quotient, rest != 0, exponent)
    }

    fn times(&self, factor: u64) -> Float {
        let product = u128::from(self.mantissa) * u128::from(factor);
        Float::rounded(product, false, self.exponent)
    }

    fn rounded(mut bits: u128, mut is_more: bool, mut exponent: i32) -> Float {
        let mut half = false;
        while bits > u128::from(u64::MAX) {
            is_more |= half;
            half = bits & 1 == 1;
            bits >>= 1;
            exponent += 1;
        }
        if half && (is_more || bits & 1 == 1) {
            bits += 1;
            if bits > u128::from(u64::MAX) {
                bits >>= 1;
                exponent += 1;
            }
        }
        Float {
            mantissa: u64::try_from(bits).unwrap_or(u64::MAX),
            exponent,
        }
    }

    /// Without its fraction.
    fn whole(&self) -> Option<u128> {
        let mantissa = u128::from(self.mantissa);
        let by = self.exponent.unsigned_abs();
        if self.exponent < 0 {
            return Some(mantissa.checked_shr(by).unwrap_or(0));
        }
        if mantissa == 0 {
            return Some(0);
        }
        (by <= mantissa.leading_zeros()).then(|| mantissa << by)
    }
}

/// A version as OPA reads it: leading zeros are read over, as is one v.
struct Version<'v> {
    numbers: [i64; 3],
    pre: &'v str,
}

impl<'v> Version<'v> {
    fn parse(text: &'v str) -> Option<Version<'v>> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').unwrap_or((text, ""));
        let (text, pre) = text.split_once('-').unwrap_or((text, ""));
        for identifiers in [build, pre] {
            let is_good = |identifier: &str| {
                let mut bytes = identifier.bytes();
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                !identifier.is_empty() && bytes.all(is_allowed)
            };
            if !identifiers.is_empty() && !identifiers.split('.').all(is_good) {
                return None;
            }
        }
        let numbers: Option<Vec<i64>> = text.split('.').map(|n| n.parse().ok()).collect();
        let numbers = numbers?.try_into().ok()?;
        Some(Version { numbers, pre })
    }

    fn compare(&self, other: &Version<'_>) -> std::cmp::Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        // A version is behind those before it.
        let is_release = self.pre.is_empty().cmp(&other.pre.is_empty());
        numbers.then(is_release).then_with(|| {
            let identifiers =
                |pre: &'_ str| -> Vec<Identifier> { pre.split('.').map(Identifier::of).collect() };
            identifiers(self.pre).cmp(&identifiers(other.pre))
        })
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(i64),
    Text(String),
}

impl Identifier {
    fn of(text: &str) -> Identifier {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            Identifier::Number(text.parse().unwrap_or(i64::MAX))
        } else {
            Identifier::Text(text.to_owned())
        }
    }
}

// Objects

/// None for types that do not compare.
fn is_subset(all: &Value, part: &Value) -> Option<bool> {
    Some(match (all, part) {
        (Value::Object(all), Value::Object(part)) => part.iter().all(|(key, part)| {
            all.get(key).is_some_and(|all| {
                all == part
                    || match (all, part) {
                        // Only at the top.
                        (Value::Array(_), Value::Set(_)) => false,
                        _ => is_subset(all, part).unwrap_or(false),
                    }
            })
        }),
        (Value::Set(all), Value::Set(part)) => part.iter().all(|item| all.get(item).is_some()),
        (Value::Array(all), Value::Array(part)) => {
            let (all, part) = (all.as_slice(), part.as_slice());
            part.is_empty() || all.windows(part.len()).any(|window| window == part)
        }
        (Value::Array(all), Value::Set(part)) => {
            let all: BTreeSet<&Value> = all.iter().collect();
            part.iter().all(|item| all.contains(item))
        }
        _ => return None,
    })
}

type Path<'p> = &'p [Value];

/// Calls a function with the paths, those that lead nowhere left out.
fn by_paths(
    name: &str,
    arguments: &[Value],
    function: fn(&Value, &[Path<'_>]) -> Option<Value>,
) -> Result<Value> {
    let [object @ Value::Object(_), paths] = arguments else {
        bail!("{name}: argument 1 must be an object");
    };
    let paths: Vec<&Value> = match paths {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        _ => bail!("{name}: argument 2 must be an array or a set"),
    };
    let mut segments = Vec::new();
    for path in paths {
        segments.push(match path {
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::String(text) => {
                let steps = text.trim_start_matches('/').split('/');
                let steps = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
                steps.map(Value::from).collect()
            }
            Value::Array(steps) => steps.iter().cloned().collect(),
            _ => bail!("{name}: a path is a string or an array"),
        });
    }
    let paths = segments.iter().map(Vec::as_slice);
    let paths: Vec<Path<'_>> = paths.filter(|path| !path.is_empty()).collect();
    Ok(function(object, &paths).unwrap_or(Value::Undefined))
}

/// The paths by their first step, without it.
fn by_step<'p>(paths: &[Path<'p>]) -> BTreeMap<&'p Value, Vec<Path<'p>>> {
    let mut steps: BTreeMap<&Value, Vec<Path<'_>>> = BTreeMap::new();
    for path in paths {
        if let Some((first, rest)) = path.split_first() {
            steps.entry(first).or_default().push(rest);
        }
    }
    steps
}

fn filter(value: &Value, paths: &[Path<'_>]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    let steps = by_step(paths);
    Some(match value {
        Value::Object(fields) => {
            let kept = steps.iter().filter_map(|(step, paths)| {
                let value = filter(fields.get(step)?, paths)?;
                Some(((*step).clone(), value))
            });
            Value::Object(Rc::new(kept.collect()))
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let kept =
                items.filter_map(|(i, item)| filter(item, steps.get(&Value::from(i.to_string()))?));
            Value::from(kept.collect::<Vec<_>>())
        }
        Value::Set(items) => set_of(
            items
                .iter()
                .filter_map(|item| filter(item, steps.get(item)?)),
        ),
        scalar => scalar.clone(),
    })
}

fn remove(value: &Value, paths: &[Path<'_>]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return None;
    }
    let steps = by_step(paths);
    let rest = |step: &Value, value: &Value| match steps.get(step) {
        Some(paths) => remove(value, paths),
        None => Some(value.clone()),
    };
    Some(match value {
        Value::Object(fields) => {
            let kept = fields.iter();
            let kept = kept.filter_map(|(key, value)| Some((key.clone(), rest(key, value)?)));
            Value::Object(Rc::new(kept.collect()))
        }
        Value::Array(items) => {
            let kept = items.iter().enumerate();
            let kept = kept.filter_map(|(i, item)| rest(&Value::from(i.to_string()), item));
            Value::from(kept.collect::<Vec<_>>())
        }
        Value::Set(items) => set_of(items.iter().filter_map(|item| rest(item, item))),
        scalar => scalar.clone(),
    })
}

// Time and networks

/// As `Time.AddDate` of Go: February 30 is March 1 or 2. All that differs is how many days that is.
fn add_date(arguments: &[Value]) -> Result<Value> {
    let name = "time.add_date";
    let [time, years, months, days] = arguments else {
        bail!("{name} takes four arguments");
    };
    let whole = |value: &Value| match value {
        Value::Number(n) => n
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .map(i64::from),
        _ => None,
    };
    let date = plain("time.date", std::slice::from_ref(time))?;
    let parts: Option<Vec<i64>> = date
        .as_array()?
        .iter()
        .chain([years, months, days])
        .map(whole)
        .collect();
    let Some(&[year, month, day, years, months, days]) = parts.as_deref() else {
        bail!("{name}: years, months and days must be integers");
    };
    let months = month - 1 + months;
    let year_then = year + years + months.div_euclid(12);
    let then = days_of(year_then, months.rem_euclid(12) + 1) + day + days;
    let by = then - (days_of(year, month) + day);
    let none = || Value::from(0_u64);
    let arguments = [time.clone(), none(), none(), Value::from(by)];
    match plain(name, &arguments)? {
        Value::Undefined => bail!("{name}: there is no such time"),
        time => Ok(time),
    }
}

/// The days before a month, from some day on (the proleptic Gregorian calendar).
fn days_of(year: i64, month: i64) -> i64 {
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5
}

/// Addresses and networks of IPv4 that are written as IPv6 are those of IPv4.
fn unmapped(arguments: &[Value]) -> Vec<Value> {
    let one = |value: &Value| -> Option<Value> {
        let text = value.as_string().ok()?;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.as_ref(), None),
        };
        let IpAddr::V6(address) = address.parse().ok()? else {
            return None;
        };
        let address = address.to_ipv4_mapped()?;
        Some(Value::from(match prefix {
            None => address.to_string(),
            Some(prefix) => {
                let prefix = prefix.parse::<u8>().ok()?.checked_sub(96)?;
                format!("{address}/{prefix}")
            }
        }))
    };
    let arguments = arguments.iter();
    arguments
        .map(|value| one(value).unwrap_or_else(|| value.clone()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_rounded_as_in_opa() {
        for (text, expected) in [
            ("1.1k", "1100"),
            ("0.7Ki", "716"),
            ("1.9999999999999999999999", "2"),
            ("1e-3M", "999"),
            ("-1.5k", "-1500"),
            (".5KB", "500"),
            ("\"5.\"", "5"),
            ("1Ei", "1152921504606846976"),
            ("0.5", "0"),
        ] {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
        }
        for text in ["", "k", "1 k", "1x", "1..2", "1e999", "١k"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_have_an_order() {
        let order = [
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-a",
            "1.0.0-a.1",
            "1.0.0",
            "v1.2.0",
        ];
        for pair in order.windows(2) {
            let (a, b) = (
                Version::parse(pair[0]).unwrap(),
                Version::parse(pair[1]).unwrap(),
            );
            assert_eq!(a.compare(&b), std::cmp::Ordering::Less, "{pair:?}");
            assert_eq!(b.compare(&a), std::cmp::Ordering::Greater, "{pair:?}");
        }
        for text in [
            "1.0",
            "vv1.0.0",
            "1.0.0-a..b",
            "1.0.x",
            "1.0.0.0",
            "1.0.0-é",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_unescaped(text in ".{0,12}") {
            prop_assert_eq!(query_unescaped(&query_escaped(&text)).unwrap(), text);
        }

        #[test]
        fn whole_bytes_are_exact(number: u32, unit in 0..4_usize) {
            let (unit, factor) = [("", 1), ("k", 1000), ("Mi", 1 << 20), ("GiB", 1_u64 << 30)][unit];
            let expected = (u64::from(number) * factor).to_string();
            prop_assert_eq!(bytes(&format!("{number}{unit}")).unwrap(), expected);
        }

        #[test]
        fn numbers_are_written_as_in_json(text in "[+-]?[0-9.]{0,6}([eE][+-]?[0-9]{0,2})?") {
            let read: Option<f64> = text.parse().ok();
            let written = decimal(&text).map(|text| serde_json::from_str::<f64>(&text).unwrap());
            prop_assert_eq!(written, read);
        }

        #[test]
        fn any_text_has_an_answer(text in r"([-0-9.eEkKiI+v]|[ -~]|é){0,10}") {
            let _ = (bytes(&text), Version::parse(&text), decimal(&text), query_unescaped(&text), yaml(&text));
        }

        #[test]
        fn days_follow_each_other(year in -3000..3000_i64, month in 1..13_i64) {
            let (then, first) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let length = days_of(then, first) - days_of(year, month);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let expected = match month {
                2 => 28 + i64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            prop_assert_eq!(length, expected);
        }
    }
}
