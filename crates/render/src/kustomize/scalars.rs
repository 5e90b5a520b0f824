//! Scalars as kustomize sees them: by their text.
//!
//! kustomize compares merge keys, labels and names by what was written, so that `1.10` is not `1.1`
//! there. Values here know their type only, and what was written is looked up where it matters.

use std::borrow::Cow;

use stagegate_core::{Node, Number, Pointer, Value};
use stagegate_manifest::{Profile, Sources, plain_scalar};

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// In quotes, or in a block that keeps its lines.
    Quoted,
    /// In a block whose lines are joined.
    Folded,
}

/// Looks up what was written.
#[derive(Clone, Copy)]
pub(crate) struct Scalars<'a>(pub(crate) &'a Sources);

impl Scalars<'_> {
    /// The text of a scalar; empty for objects and lists, and for a value that was left out.
    pub(crate) fn text<'n>(&self, node: &'n Node) -> Cow<'n, str> {
        match &node.value {
            Value::String(text) => Cow::Borrowed(text),
            Value::Array(_) | Value::Object(_) => Cow::Borrowed(""),
            value => Cow::Owned(self.written(node).unwrap_or_else(|| canonical(value))),
        }
    }

    /// Whether this is a null that nothing stands for in the file: `key:`. kustomize drops it where
    /// a patch is merged, and keeps `key: null`.
    pub(crate) fn is_left_out(&self, node: &Node) -> bool {
        matches!(node.value, Value::Null) && self.text(node).is_empty()
    }

    /// Whether a text stands in quotes or in a block.
    pub(crate) fn is_quoted(&self, node: &Node) -> bool {
        self.style(node) != Style::Plain
    }

    /// How a scalar is written at its place.
    pub(crate) fn style(&self, node: &Node) -> Style {
        let source = self.0.get(node.mark.file);
        let first = source.and_then(|s| s.text.as_bytes().get(node.mark.start as usize).copied());
        match first {
            _ if !matches!(node.value, Value::String(_)) => Style::Plain,
            Some(b'"' | b'\'' | b'|') => Style::Quoted,
            Some(b'>') => Style::Folded,
            _ => Style::Plain,
        }
    }

    fn written(&self, node: &Node) -> Option<String> {
        let source = self.0.get(node.mark.file)?;
        let range = node.mark.start as usize..node.mark.end as usize;
        let text = source.text.get(range)?;
        // What was copied out of quotes is what stands between them.
        let bare = ['"', '\''].into_iter();
        let mut bare = bare.filter_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
        let text = bare.next().unwrap_or(text);
        // The mark of an inline patch may be that of the whole patch.
        let is_meant = plain_scalar(text, Profile::Kustomize).is_ok_and(|v| v == node.value);
        is_meant.then(|| text.to_owned())
    }
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Number(Number::Int(i)) => i.to_string(),
        Value::Number(Number::Float(f)) => go_general(*f, 6),
        _ => "null".to_owned(),
    }
}

/// What kustomize has for the text of a value that went through JSON, where every number is a double;
/// empty for objects and lists.
pub(crate) fn text_after_json(value: &Value) -> String {
    #[expect(clippy::cast_precision_loss, reason = "as in Go")]
    match value {
        Value::Number(Number::Int(i)) => go_general(*i as f64, 6),
        Value::Array(_) | Value::Object(_) => String::new(),
        other => canonical(other),
    }
}

/// A double as Go writes it in JSON (`encoding/json`).
pub(crate) fn go_float(f: f64) -> String {
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{f:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent:0>2}")
            }
            _ => text,
        };
    }
    f.to_string()
}

/// A double as Go's `%g` writes it, with an exponent from `most` on: 6 in `strconv`, 21 in `fmt`.
pub(crate) fn go_general(f: f64, most: i32) -> String {
    let text = format!("{f:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.parse::<i32>() {
        Ok(e) if e < -4 => format!("{digits}e-{:0>2}", -e),
        Ok(e) if e >= most => format!("{digits}e+{e:0>2}"),
        _ => f.to_string(),
    }
}

/// What a text is that stands unquoted, as where kustomize sets a value without a type.
pub(crate) fn untyped(text: &str) -> Value {
    plain_scalar(text, Profile::Kustomize).unwrap_or_else(|_| Value::String(text.into()))
}

/// kustomize takes unquoted dates for points in time and writes them out as such, but for the
/// annotations of an object, which are texts.
pub(crate) fn write_dates(document: &mut Node, scalars: Scalars<'_>) {
    fn walk(node: &mut Node, at: &Pointer, scalars: Scalars<'_>) {
        match &mut node.value {
            Value::String(text) => {
                let may_be = text.len() >= 8 && text.as_bytes().get(4) == Some(&b'-');
                let date = if may_be { date(text) } else { None };
                if let Some(date) = date.filter(|_| !scalars.is_quoted(node)) {
                    node.value = Value::String(date.into());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, at, scalars)),
            Value::Object(map) => {
                for entry in map.iter_mut() {
                    // Deeper down the way does not matter.
                    let below = match at.as_str() {
                        "" => Pointer::root().join(&entry.key),
                        "/metadata" if entry.key == "annotations" => continue,
                        _ => Pointer::root().join("-").join("-"),
                    };
                    walk(&mut entry.node, &below, scalars);
                }
            }
            _ => {}
        }
    }
    walk(document, &Pointer::root(), scalars);
}

/// A point in time in one of the four forms that go-yaml knows, as Go writes it in JSON.
fn date(text: &str) -> Option<String> {
    let is_time_mark = |c: char| matches!(c, 'T' | 't' | ' ');
    let (day, time) = match text.find(is_time_mark) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    let number = |digits: &str, most: usize| -> Option<i16> {
        let fits = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| digits.parse().ok()).flatten()
    };
    let mut parts = day.split('-');
    let year = number(parts.next().filter(|y| y.len() == 4)?, 4)?;
    let month = i8::try_from(number(parts.next()?, 2)?).ok()?;
    let day = i8::try_from(number(parts.next()?, 2)?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let Some((mark, time)) = time else {
        return Some(format!("{date}T00:00:00Z"));
    };
    let (clock, zone) = if mark == " " {
        (time, "Z")
    } else if let Some(clock) = time.strip_suffix('Z') {
        (clock, "Z")
    } else {
        let at = time.rfind(['+', '-'])?;
        let zone = &time[at..];
        let (hours, minutes) = zone[1..].split_once(':')?;
        let fits =
            |part: &str, below: i16| part.len() == 2 && number(part, 2).is_some_and(|n| n < below);
        if !fits(hours, 24) || !fits(minutes, 60) {
            return None;
        }
        let is_utc = hours == "00" && minutes == "00";
        (&time[..at], if is_utc { "Z" } else { zone })
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let mut parts = clock.split(':');
    let mut part = |below: i16| number(parts.next()?, 2).filter(|n| *n < below);
    let (hour, minute, second) = (part(24)?, part(60)?, part(60)?);
    if parts.next().is_some() {
        return None;
    }
    let fraction = match fraction {
        Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
            return None;
        }
        Some(digits) => {
            let digits = digits.get(..9).unwrap_or(digits).trim_end_matches('0');
            if digits.is_empty() {
                String::new()
            } else {
                format!(".{digits}")
            }
        }
        None => String::new(),
    };
    Some(format!(
        "{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_go_writes_them() {
        for (text, written) in [
            ("2024-1-2", Some("2024-01-02T00:00:00Z")),
            ("2024-02-30", None),
            ("2024-01-02 03:04:05", Some("2024-01-02T03:04:05Z")),
            (
                "2024-01-02T03:04:05.123456+02:00",
                Some("2024-01-02T03:04:05.123456+02:00"),
            ),
            ("2024-01-02t3:4:5Z", Some("2024-01-02T03:04:05Z")),
            ("2024-01-02 03:04:05.50", Some("2024-01-02T03:04:05.5Z")),
            ("2024-01-02 03:04:05 +02:00", None),
            ("2024-01", None),
            ("2024-01-02-x", None),
        ] {
            assert_eq!(date(text).as_deref(), written, "{text}");
        }
    }

    #[test]
    fn doubles_are_written_as_go_writes_them() {
        for (f, text) in [
            (0.5, "0.5"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1.5e-7, "1.5e-7"),
            (1e-6, "0.000001"),
            (-2.0, "-2"),
        ] {
            assert_eq!(go_float(f), text);
        }
        for (f, text) in [
            (0.0, "0"),
            (0.0001, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (-1e21, "-1e+21"),
        ] {
            assert_eq!(go_general(f, 6), text);
        }
        assert_eq!(go_general(1e20, 21), "100000000000000000000");
    }
}
