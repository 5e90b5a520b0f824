//! What a plain scalar means: the rules of go-yaml, which kubectl and kustomize are built on.
//!
//! Source: `resolve.go` of sigs.k8s.io/yaml/goyaml.v2 and goyaml.v3, checked against kubectl in
//! `tests/kubectl.rs`.

use stagegate_core::{Number, Str, Value};

use crate::Profile;

/// A value, or why there is none.
pub(crate) type Resolved = Result<Value, &'static str>;

const NOT_JSON: &str = "infinity and not-a-number have no place in JSON: the API server cannot take them; quote the text if it is one";

/// The meaning of an unquoted scalar without a tag.
pub(crate) fn plain(text: &str, profile: Profile) -> Resolved {
    // The first byte is hint enough: most scalars are text and leave at once.
    let value = match text.as_bytes().first() {
        None => Value::Null,
        Some(b'0'..=b'9' | b'+' | b'-') => return number(text),
        Some(b'.') => return dotted(text),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            word(text, profile).unwrap_or_else(|| Value::String(Str::new(text)))
        }
        Some(_) => Value::String(Str::new(text)),
    };
    Ok(value)
}

/// Whether a plain scalar is a word that YAML 1.1 takes for true or false, and YAML 1.2 for text.
pub(crate) fn is_old_boolean(text: &str) -> bool {
    matches!(word(text, Profile::Apply), Some(Value::Bool(_)))
        && word(text, Profile::Kustomize).is_none()
}

fn word(text: &str, profile: Profile) -> Option<Value> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        // YAML 1.1 words: kustomize reads and writes them as text.
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if profile == Profile::Apply => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if profile == Profile::Apply => {
            Value::Bool(false)
        }
        _ => return None,
    })
}

fn dotted(text: &str) -> Resolved {
    if matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(NOT_JSON);
    }
    Ok(float(text).map_or_else(|| Value::String(Str::new(text)), Value::Number))
}

fn number(text: &str) -> Resolved {
    if matches!(text.get(1..), Some(".inf" | ".Inf" | ".INF"))
        && !text.starts_with(char::is_numeric)
    {
        return Err(NOT_JSON);
    }
    let stripped;
    let plain = if text.contains('_') {
        stripped = text.replace('_', "");
        stripped.as_str()
    } else {
        text
    };
    Ok(match integer(plain).or_else(|| float(plain)) {
        Some(number) => Value::Number(number),
        None => Value::String(Str::new(text)),
    })
}

/// Go's `ParseInt` and `ParseUint` with base 0.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // from_str_radix would take a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Number::Int);
    }
    match i64::try_from(magnitude) {
        Ok(i) => Some(Number::Int(i)),
        #[expect(
            clippy::cast_precision_loss,
            reason = "the API server reads it as a double"
        )]
        Err(_) => Some(Number::Float(magnitude as f64)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and within the range of a double.
fn float(text: &str) -> Option<Number> {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut fraction = 0;
    if let Some(behind) = rest.strip_prefix('.') {
        fraction = digits(behind);
        rest = &behind[fraction..];
    }
    if whole == 0 && fraction == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
    } else if !rest.is_empty() {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// The meaning of a scalar with a tag of the YAML core schema, quoted or not.
pub(crate) fn tagged(tag: &str, text: &str, profile: Profile) -> Resolved {
    let value = match tag {
        "str" | "timestamp" => Value::String(Str::new(text)),
        "binary" => {
            let bytes = base64(text).ok_or("!!binary needs base64")?;
            Value::String(Str::new(String::from_utf8_lossy(&bytes)))
        }
        "null" | "bool" | "int" | "float" => {
            let value = plain(text, profile)?;
            let fits = match (&value, tag) {
                (Value::Null, "null") | (Value::Bool(_), "bool") | (Value::Number(_), "float") => {
                    true
                }
                // go-yaml resolves `1.0` as a float, which !!int does not take.
                (Value::Number(Number::Int(_)), "int") => !text.contains(['.', 'e', 'E']),
                (Value::Number(Number::Float(_)), "int") => !text.contains(['.', 'e', 'E']),
                _ => false,
            };
            if !fits {
                return Err("the value does not fit its tag");
            }
            value
        }
        _ => Value::String(Str::new(text)),
    };
    Ok(value)
}

/// A key that is a number with a fraction or an exponent: Go's shortest form for 32 bits.
pub(crate) fn float_key(float: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what sigs.k8s.io/yaml does with it"
    )]
    let scientific = format!("{:e}", float as f32);
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return if float < 0.0 {
            "-.inf".to_owned()
        } else {
            ".inf".to_owned()
        };
    };
    match exponent.parse::<i32>() {
        #[expect(clippy::cast_possible_truncation, reason = "as above")]
        Ok(-4..6) => format!("{}", float as f32),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_) => scientific.clone(),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .ok()
}
