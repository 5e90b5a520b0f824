//! Where output goes and how it looks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use stagegate_core::{Location, Mark};
use stagegate_lint::{Redactions, Report};
use stagegate_manifest::{Source, Sources};
use stagegate_render::Tree;
use stagegate_report::{Format, Snippet, Style, diagnostic, printable};

use crate::args::{Color, ReportFormat};
use crate::error::Error;

/// How many lines around a place are shown.
const CONTEXT: u32 = 1;

/// Writes a report in every format that was asked for.
pub(crate) fn write_reports(
    report: &Report,
    tree: &Tree,
    outputs: &[(ReportFormat, Option<std::path::PathBuf>)],
    strict: bool,
    color: Color,
) -> Result<(), Error> {
    let snippets = |location: &Location| {
        let source = tree.source(&location.path)?;
        snippet(&source, location, &report.redactions)
    };
    for (format, path) in outputs {
        let format = match format {
            ReportFormat::Text => Format::Text,
            ReportFormat::Json => Format::Json,
        };
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => path.is_none() && color_on_terminal(),
        };
        let style = Style {
            color,
            strict,
            snippets: &snippets,
        };
        match path {
            None => to_stdout(|out| stagegate_report::write(report, format, &style, out))?,
            Some(path) => to_file(path, |out| {
                stagegate_report::write(report, format, &style, out)
            })?,
        }
    }
    if !report.errors.is_empty() {
        tell(&match report.unjudged() {
            0 => "error: there was nothing to judge".to_owned(),
            1 => "error: 1 source could not be judged, so the result is incomplete".to_owned(),
            n => format!("error: {n} sources could not be judged, so the result is incomplete"),
        });
        let text_on_stdout = outputs
            .iter()
            .any(|(f, p)| *f == ReportFormat::Text && p.is_none());
        if !text_on_stdout {
            for error in &report.errors {
                let (path, message) = (&error.path, &error.message);
                tell(&printable(&format!(
                    "  {path}:{}:{}: {message}",
                    error.line, error.column
                )));
            }
        }
    }
    Ok(())
}

fn color_on_terminal() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Says something on standard error, where somebody listens.
pub(crate) fn tell(text: &str) {
    // There is nobody left to tell that nobody listens.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes to standard output, buffered. A reader that has seen enough, such as `head`, is no error,
/// and changes no exit code.
pub(crate) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in the buffer would be tried again.
            let _ = out.into_parts();
            Ok(())
        }
        result => Ok(result?),
    }
}

fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    let attempt = || {
        let mut out = BufWriter::new(File::create(path)?);
        write(&mut out)?;
        out.flush()
    };
    attempt().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// The lines around a place.
fn snippet(source: &Source, location: &Location, redactions: &Redactions) -> Option<Snippet> {
    let first_line = location.line.saturating_sub(CONTEXT).max(1);
    let last_line = location.line + CONTEXT;
    let start = source.line_start(first_line);
    let end = source.line_start(last_line + 1);
    let text = redactions.show(source, start, end)?;
    let text = text.trim_end_matches(['\n', '\r']);
    // A line of a megabyte shows nothing to anybody.
    if text.len() > 4096 || location.line > source.line_count() {
        return None;
    }
    Some(Snippet {
        first_line,
        // Lines of files from Windows end in one character more, which shows nothing.
        text: text.replace('\r', ""),
    })
}

/// Says on standard error what kept a command from doing its job.
pub(crate) fn complain(error: &Error) {
    let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    for complaint in complaints(error, color) {
        tell(&complaint);
    }
}

/// What kept a command from doing its job, each mistake by itself.
pub(crate) fn complaints(error: &Error, color: bool) -> Vec<String> {
    match error {
        Error::Config { errors, sources } => errors
            .iter()
            .map(|e| {
                let help = e.help.as_deref();
                complaint("config", e.mark, &e.message, help, sources, color)
            })
            .collect(),
        Error::Policies { errors, sources } => errors
            .iter()
            .map(|e| {
                let help = e.help.as_deref();
                complaint("policy", e.mark, &e.message, help, sources, color)
            })
            .collect(),
        _ => vec![printable(&format!("error: {error}")).into_owned()],
    }
}

/// What is wrong, with its line and caret where it has a place.
fn complaint(
    code: &str,
    mark: Mark,
    message: &str,
    help: Option<&str>,
    sources: &Sources,
    color: bool,
) -> String {
    let location = sources.locate(mark);
    if location.is_none() {
        let help = help.map(|h| format!("; {h}")).unwrap_or_default();
        return printable(&format!("error: {message}{help}")).into_owned();
    }
    let lines = |location: &Location| {
        let source = sources.get(mark.file)?;
        snippet(&source, location, &Redactions::default())
    };
    let style = Style {
        color,
        strict: false,
        snippets: &lines,
    };
    let text = diagnostic(code, message, help, location.as_ref(), &style);
    format!("{text}\n")
}
