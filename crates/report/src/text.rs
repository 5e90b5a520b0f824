//! The report for people: by file, each place once, with its line, the fix and the stages.

use std::io;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer};
use stagegate_core::{Enforcement, Location, Status};
use stagegate_lint::{ErrorReport, FindingReport, NO_OBJECTS, Report};

use crate::{Snippet, Style, printable};

pub(crate) fn write(report: &Report, style: &Style<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let renderer = renderer(style.color);
    let (blocks, active) = blocks(report);
    for place in active.chunk_by(|a, b| same_place(a, b)) {
        for line in place_lines(&renderer, place, style) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    for block in blocks {
        writeln!(out, "{}\n", block_text(&renderer, &block))?;
    }
    for errors in report
        .errors
        .chunk_by(|a, b| (&a.message, &a.help) == (&b.message, &b.help))
    {
        writeln!(out, "{}\n", unjudged(&renderer, errors, style))?;
    }
    summary(report, style, out)
}

/// Findings that are told in one block, for all the objects of a namespace, and the others.
fn blocks(report: &Report) -> (Vec<Vec<&FindingReport>>, Vec<&FindingReport>) {
    let mut blocks: Vec<Vec<&FindingReport>> = Vec::new();
    let mut others = Vec::new();
    let active = report
        .findings
        .iter()
        .filter(|f| f.status == Status::Active);
    for finding in active {
        if finding.block.is_none() {
            others.push(finding);
            continue;
        }
        let together = |block: &&mut Vec<&FindingReport>| {
            block.first().is_some_and(|first| {
                first.block == finding.block
                    && first.policy == finding.policy
                    && first.enforcement == finding.enforcement
                    && first.message == finding.message
                    && first.stages == finding.stages
            })
        };
        match blocks.iter_mut().find(together) {
            Some(block) => block.push(finding),
            None => blocks.push(vec![finding]),
        }
    }
    // A block of one is a finding like any other.
    let (alone, blocks): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.len() == 1);
    others.extend(alone.into_iter().flatten());
    others.sort_by(|a, b| (&a.location, &a.policy).cmp(&(&b.location, &b.policy)));
    (blocks, others)
}

/// One title, every place, one fix.
fn block_text(renderer: &Renderer, block: &[&FindingReport]) -> String {
    let Some(first) = block.first() else {
        return String::new();
    };
    let title = level(first.enforcement).primary_title(printable(&first.message));
    let mut group = Group::with_title(title.id(first.policy.as_str()));
    for finding in block {
        let at = &finding.location;
        group = group.element(origin(&at.path, at.line, at.column));
    }
    let names: Vec<String> = block
        .iter()
        .filter_map(|f| f.object.as_ref())
        .map(|o| format!("{} {}", o.kind, o.name))
        .collect();
    let whose = format!(
        "{}: {}: {}",
        stages(first),
        first.block.as_deref().unwrap_or_default(),
        names.join(", ")
    );
    group = group.element(
        Level::NOTE
            .with_name("in")
            .message(printable(&whose).into_owned()),
    );
    renderer.render(&[with_fix(group, Some(&first.help))])
}

fn renderer(color: bool) -> Renderer {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Ascii)
}

/// Findings that stand in one place of one object are shown with one snippet.
fn same_place(a: &FindingReport, b: &FindingReport) -> bool {
    a.location == b.location && a.stages == b.stages && a.object == b.object
}

fn level(enforcement: Enforcement) -> Level<'static> {
    match enforcement {
        Enforcement::Deny => Level::ERROR.with_name("deny"),
        Enforcement::Warn => Level::WARNING.with_name("warn"),
        _ => Level::INFO.with_name("audit"),
    }
}

/// The titles of all findings of a place, then its snippet, then what to do.
fn place_lines(renderer: &Renderer, place: &[&FindingReport], style: &Style<'_>) -> Vec<String> {
    let Some((last, others)) = place.split_last() else {
        return Vec::new();
    };
    let mut lines: Vec<String> = others
        .iter()
        .map(|f| {
            let title = level(f.enforcement).primary_title(printable(&f.message));
            renderer.render(&[Group::with_title(title.id(f.policy.as_str()))])
        })
        .collect();
    let title = level(last.enforcement).primary_title(printable(&last.message));
    let mut group = Group::with_title(title.id(last.policy.as_str()));
    let snippet = (style.snippets)(&last.location).map(Snippet::printable);
    group = match &snippet {
        Some(snippet) => group.element(marked(&last.location, snippet)),
        None => {
            let at = &last.location;
            group.element(origin(&at.path, at.line, at.column))
        }
    };
    group = group.element(Level::NOTE.with_name("in").message(whose(last)));
    let mut related: Vec<String> = Vec::new();
    let mut helps: Vec<&str> = Vec::new();
    for finding in place {
        for other in &finding.related {
            let text = format!(
                "{}: {}:{}:{}",
                other.message, other.path, other.line, other.column
            );
            let text = printable(&text).into_owned();
            if !related.contains(&text) {
                related.push(text);
            }
        }
        if !finding.help.is_empty() && !helps.contains(&finding.help.as_str()) {
            helps.push(&finding.help);
        }
    }
    for text in related {
        group = group.element(Level::NOTE.message(text));
    }
    for help in helps {
        group = group.element(Level::HELP.with_name("fix").message(printable(help)));
    }
    lines.push(renderer.render(&[group]));
    lines
}

/// `dev, staging, prod: Deployment shop/api`
fn whose(finding: &FindingReport) -> String {
    let stages = stages(finding);
    let text = match &finding.object {
        None => stages,
        Some(object) => {
            let namespace = object
                .namespace
                .as_ref()
                .map(|n| format!("{n}/"))
                .unwrap_or_default();
            format!("{stages}: {} {namespace}{}", object.kind, object.name)
        }
    };
    printable(&text).into_owned()
}

fn stages(finding: &FindingReport) -> String {
    const MOST: usize = 8;
    if finding.stages.len() <= MOST {
        return finding.stages.join(", ");
    }
    let more = finding.stages.len() - MOST;
    format!("{} and {more} more", finding.stages[more..].join(", "))
}

/// A snippet with carets under the first line of what is meant: the rest of a long container says
/// nothing.
fn marked<'s>(
    location: &Location,
    snippet: &'s Snippet,
) -> annotate_snippets::Snippet<'s, annotate_snippets::Annotation<'s>> {
    let mut line_start = 0;
    for _ in snippet.first_line..location.line {
        line_start = snippet.text[line_start..]
            .find('\n')
            .map_or(snippet.text.len(), |i| line_start + i + 1);
    }
    let line = snippet.text[line_start..]
        .lines()
        .next()
        .unwrap_or_default();
    let offset = |column: u32| {
        line.char_indices()
            .nth(column as usize - 1)
            .map_or(line.len(), |(i, _)| i)
    };
    let start = offset(location.column);
    let end = if location.end_line > location.line {
        line.len()
    } else {
        offset(location.end_column)
    };
    // What is masked ends in blanks, which are not to be counted.
    let end = start + line[start..end].trim_end().len();
    // At least one character, and never a part of one.
    let one = line[start..].chars().next().map_or(0, char::len_utf8);
    let end = end.max(start + one);
    annotate_snippets::Snippet::source(snippet.text.as_str())
        .line_start(snippet.first_line as usize)
        .path(printable(&location.path).into_owned())
        .fold(false)
        .annotation(AnnotationKind::Primary.span(line_start + start..line_start + end))
}

fn origin(path: &str, line: u32, column: u32) -> annotate_snippets::Origin<'_> {
    annotate_snippets::Origin::path(printable(path))
        .line(line as usize)
        .char_column(column as usize)
}

/// Errors of one message are told once, with every place.
fn unjudged(renderer: &Renderer, errors: &[ErrorReport], style: &Style<'_>) -> String {
    let Some(first) = errors.first() else {
        return String::new();
    };
    let help = first.help.as_deref();
    if let ([error], Some(location)) = (errors, &first.location) {
        return diagnostic(error.code, &error.message, help, Some(location), style);
    }
    let mut group = titled(first.code, &first.message);
    for error in errors.iter().filter(|e| e.code != NO_OBJECTS) {
        group = group.element(origin(&error.path, error.line, error.column));
    }
    renderer.render(&[with_fix(group, help)])
}

fn titled<'a>(code: &'a str, message: &'a str) -> Group<'a> {
    Group::with_title(Level::ERROR.primary_title(printable(message)).id(code))
}

fn with_fix<'a>(group: Group<'a>, help: Option<&'a str>) -> Group<'a> {
    match help.filter(|help| !help.is_empty()) {
        Some(help) => group.element(Level::HELP.with_name("fix").message(printable(help))),
        None => group,
    }
}

/// Shows an error with its line and caret, as findings are shown.
pub fn diagnostic(
    code: &str,
    message: &str,
    help: Option<&str>,
    location: Option<&Location>,
    style: &Style<'_>,
) -> String {
    let snippet = location
        .and_then(|l| (style.snippets)(l))
        .map(Snippet::printable);
    let mut group = titled(code, message);
    group = match (location, &snippet) {
        (Some(location), Some(snippet)) => group.element(marked(location, snippet)),
        (Some(l), None) => group.element(origin(&l.path, l.line, l.column)),
        (None, _) => group,
    };
    renderer(style.color).render(&[with_fix(group, help)])
}

fn summary(report: &Report, style: &Style<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let widest = report
        .stages
        .iter()
        .map(|s| s.name.chars().count())
        .max()
        .unwrap_or(0);
    let digits = report
        .stages
        .iter()
        .map(|s| s.objects.to_string().len())
        .max()
        .unwrap_or(0);
    for stage in &report.stages {
        let noun = plural(stage.objects, "object ", "objects");
        let paths = match stage.paths.as_slice() {
            [first, second, third, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second}, {third} and {} more", rest.len())
            }
            paths => paths.join(", "),
        };
        let (name, paths) = (printable(&stage.name), printable(&paths));
        writeln!(
            out,
            "{:widest$}  {:>digits$} {noun}  {paths}",
            name, stage.objects
        )?;
    }
    if !report.stages.is_empty() {
        writeln!(out)?;
    }
    if !report.notable.is_empty() {
        writeln!(
            out,
            "{} (see `stagegate coverage`)",
            report.notable.join(", ")
        )?;
    }
    for note in &report.notes {
        writeln!(out, "note: {}", printable(note))?;
    }
    let counts = &report.summary;
    let mut parts = Vec::new();
    let mut part = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    part(counts.deny, "deny");
    part(counts.warn, "warn");
    part(counts.audit, "audit");
    part(counts.waived, "waived");
    part(counts.baseline, "in the baseline");
    part(report.unjudged(), "could not be judged");
    let found = if parts.is_empty() {
        "nothing found".to_owned()
    } else {
        parts.join(", ")
    };
    let verdict = match report.exit_code(style.strict) {
        0 => "passed",
        1 => "failed",
        _ => "incomplete",
    };
    let objects = report.objects();
    writeln!(
        out,
        "{verdict}: {found} ({objects} {} in {} {})",
        plural(objects, "object", "objects"),
        report.stages.len(),
        plural(report.stages.len(), "stage", "stages"),
    )
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}
