//! The `stagegate` command.
//!
//! Wiring only: arguments to engine, layout and renderer, and what they give to `report`.

mod args;
mod commands;
mod engine;
mod error;
mod online;
mod output;
mod progress;
mod replay;
mod serve;
mod test;
mod workspace;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::FromArgMatches;
use tracing_subscriber::EnvFilter;

/// Parsing a large repository is mostly allocation; see BENCHMARKS.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // clap prints usage errors to standard error and exits with 2, and help with 0.
    let matches = args::command().get_matches();
    let args = match args::Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    match &args.command {
        args::Command::Serve(serve) => serve::init_logs(serve.log_format),
        _ => init_logs(),
    }
    match commands::run(args, &matches) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// What `STAGEGATE_LOG` says, else `usual`.
fn log_level(usual: &str) -> EnvFilter {
    EnvFilter::try_from_env("STAGEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(usual))
}

/// Logs as a person reads them who asked for them.
fn init_logs() {
    tracing_subscriber::fmt()
        .with_env_filter(log_level("warn"))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
