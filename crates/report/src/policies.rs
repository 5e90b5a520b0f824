//! What the policies are: the table of all, and the manual of one.

use std::io;

use serde::Serialize;
use stagegate_core::{Enforcement, Meta, Scope, Severity};

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    title: &'a str,
    category: &'a str,
    severity: Severity,
    scope: Scope,
    enforcement: Enforcement,
    #[serde(skip_serializing_if = "Option::is_none")]
    production: Option<Enforcement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<Enforcement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<Enforcement>,
}

impl<'a> Row<'a> {
    fn of(meta: &'a Meta) -> Row<'a> {
        Row {
            id: &meta.id,
            title: &meta.title,
            category: &meta.category,
            severity: meta.severity,
            scope: meta.scope,
            enforcement: meta.enforcement,
            production: meta.production,
            strict: meta.strict,
            admission: at_admission(meta),
        }
    }
}

/// What happens at admission, where that is less than offline.
fn at_admission(meta: &Meta) -> Option<Enforcement> {
    if meta.offline {
        return Some(Enforcement::Off);
    }
    let strongest = meta
        .enforcement
        .max(meta.production.unwrap_or(Enforcement::Off));
    let most = meta.admission_bound();
    (most < strongest).then_some(most)
}

/// Writes the table of policies as a JSON array.
///
/// # Errors
/// If `out` cannot be written to.
pub fn policies_json<'a>(
    policies: impl Iterator<Item = &'a Meta>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let rows: Vec<Row<'_>> = policies.map(Row::of).collect();
    serde_json::to_writer_pretty(&mut *out, &rows)?;
    writeln!(out)
}

/// Writes the table of policies for people.
///
/// # Errors
/// If `out` cannot be written to.
pub fn policies_text<'a>(
    policies: impl Iterator<Item = &'a Meta>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let head = [
        "policy",
        "default",
        "severity",
        "scope",
        "what must be true",
    ]
    .map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(policies.map(|meta| {
        let enforcement = match meta.production {
            Some(production) => format!("{}, {production} in prod", meta.enforcement),
            None => meta.enforcement.to_string(),
        };
        [
            meta.id.to_string(),
            enforcement,
            meta.severity.to_string(),
            meta.scope.to_string(),
            meta.title.to_string(),
        ]
    }));
    let width = |i: usize| rows.iter().map(|r| r[i].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for row in &rows {
        let [a, b, c, d] = widths;
        writeln!(
            out,
            "{:a$}  {:b$}  {:c$}  {:d$}  {}",
            row[0], row[1], row[2], row[3], row[4]
        )?;
    }
    Ok(())
}

/// Writes a policy's manual.
///
/// # Errors
/// If `out` cannot be written to.
pub fn explain(meta: &Meta, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}: {}\n", meta.id, meta.title)?;
    write!(
        out,
        "category {}, severity {}, scope {}, ",
        meta.category, meta.severity, meta.scope
    )?;
    write!(out, "default {}", meta.enforcement)?;
    if let Some(production) = meta.production {
        write!(out, ", {production} in prod")?;
    }
    if let Some(strict) = meta.strict {
        write!(out, ", {strict} under strict")?;
    }
    match at_admission(meta) {
        Some(Enforcement::Off) => write!(out, ", offline only")?,
        Some(admission) => write!(out, ", {admission} at admission")?,
        None => {}
    }
    writeln!(out)?;
    writeln!(out, "\n{}", meta.manual.trim_end())?;
    if !meta.parameters.is_empty() {
        writeln!(out, "\n# Configuration\n")?;
        writeln!(out, "policies:\n  {}:\n    parameters:", meta.id)?;
        for (name, schema) in &meta.parameters {
            let description = schema["description"].as_str().unwrap_or_default();
            let comment = match description {
                "" => String::new(),
                description => format!("  # {description}"),
            };
            match schema.get("default") {
                Some(default) => writeln!(out, "      {name}: {default}{comment}")?,
                None => writeln!(out, "      {name}:{comment}")?,
            }
        }
    }
    Ok(())
}
