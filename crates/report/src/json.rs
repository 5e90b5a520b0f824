//! The JSON report: the contract with other programs.

use std::io;

use serde::Serialize;
use stagegate_lint::Report;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    tool: Tool,
    #[serde(flatten)]
    report: &'a Report,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let tool = Tool {
        name: "stagegate",
        version: env!("CARGO_PKG_VERSION"),
    };
    serde_json::to_writer_pretty(
        &mut *out,
        &Document {
            version: 1,
            tool,
            report,
        },
    )?;
    writeln!(out)
}
