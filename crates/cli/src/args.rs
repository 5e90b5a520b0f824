//! What may be typed.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use stagegate_core::KubernetesVersion;

/// Policy for GitOps repositories: lint what the cluster will get.
#[derive(Debug, Parser)]
#[command(name = "stagegate", version, about, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find the stages under PATH, render and judge them
    ///
    /// Exits with 0 if nothing denies, 1 if something does, and 2 if something that should have
    /// been judged was not.
    Lint(Lint),
    /// Print what lint judges: every object as the cluster will get it
    Render(Render),
    /// Say what became of every YAML file and chart: judged, used, or skipped and why
    Coverage(Coverage),
    /// List the policies
    Policies(Policies),
    /// Print the manual of a policy
    Explain {
        /// The policy's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        known: Known,
    },
    /// Print the JSON Schema of stagegate.yaml
    ConfigSchema {
        #[command(flatten)]
        known: Known,
    },
    /// Answer recorded AdmissionReviews as the webhook would
    ///
    /// Exits with 0 if every request is allowed, 1 if one is denied, and 2 if one cannot be read.
    Replay(Replay),
    /// Serve the admission webhook
    ///
    /// Judges what an API server asks at POST /validate, by TLS. The certificate, the configuration
    /// and the policies are read anew when their files change. SIGTERM ends it once every request is
    /// answered: with 0, or with 1 if some are left; 2 says that it could not begin.
    Serve(Serve),
    /// Run tests of policies: Rego's own, folders of cases, Gatekeeper's suites
    ///
    /// Exits with 0 if all pass, 1 if one fails, and 2 if one cannot be tried or there is none.
    Test(Test),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Policies that are brought along.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Brought {
    /// A folder of policies in Rego, which are on unless configured off; may be repeated
    #[arg(long = "policies", value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// A package of policies in conftest's form; may be repeated [default: main]
    #[arg(long = "rego-package", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
}

/// What there is to know of policies.
#[derive(Debug, ClapArgs)]
pub(crate) struct Known {
    #[command(flatten)]
    pub(crate) brought: Brought,
    /// The configuration, for its policyDirs [default: stagegate.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Source {
    /// The folder or file; `-` reads manifests from standard input as one stage
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// Only this stage; may be repeated
    #[arg(long = "stage", value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// The configuration [default: stagegate.yaml in PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) brought: Brought,
    /// Never start a renderer process; what needs one cannot be judged
    #[arg(long)]
    pub(crate) no_external: bool,
    /// How many threads to use [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Lint {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Only this policy; may be repeated
    #[arg(long = "policy", value_name = "ID")]
    pub(crate) policies: Vec<String>,
    /// How to write the report; may be repeated, each with its --output
    #[arg(long = "format", value_name = "FORMAT", value_enum)]
    pub(crate) formats: Vec<ReportFormat>,
    /// Where to write the report of the --format before it [default: standard output]
    #[arg(long = "output", short = 'o', value_name = "FILE")]
    pub(crate) outputs: Vec<PathBuf>,
    /// The target version of Kubernetes
    #[arg(long, value_name = "VERSION", value_parser = kubernetes_version)]
    pub(crate) kubernetes_version: Option<KubernetesVersion>,
    /// Warnings count as denials
    #[arg(long)]
    pub(crate) strict: bool,
    /// The date for what expires, in UTC [default: today]
    #[arg(long, value_name = "DATE")]
    pub(crate) today: Option<jiff::civil::Date>,
    /// Whether to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Render {
    #[command(flatten)]
    pub(crate) source: Source,
    /// How to write the objects
    #[arg(long, value_enum, default_value_t = ObjectFormat::Yaml)]
    pub(crate) format: ObjectFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Coverage {
    #[command(flatten)]
    pub(crate) source: Source,
    /// How to write the account
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Replay {
    /// The folder of reviews, one in a .json file; or one file
    #[arg(value_name = "DIR")]
    pub(crate) path: PathBuf,
    /// The configuration [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) brought: Brought,
    /// The cluster is this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// How to write the answers
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    /// The date for what expires, in UTC [default: today]
    #[arg(long, value_name = "DATE")]
    pub(crate) today: Option<jiff::civil::Date>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// The configuration [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) brought: Brought,
    /// Where the API server asks
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub(crate) bind: SocketAddr,
    /// Where health and metrics are told, in the clear: /livez, /readyz, /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub(crate) admin_bind: SocketAddr,
    /// The certificate, and behind it those that lead to its CA, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: PathBuf,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: PathBuf,
    /// The CAs of which a client must have a certificate, in PEM [default: clients need none]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Judge without a cluster: policies that compare objects do not run
    #[arg(long)]
    pub(crate) no_cluster: bool,
    /// The cluster is this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// How much time a request is given at most; the API server's own `?timeout=` counts if it is
    /// shorter
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// For how long everything is served after SIGTERM before it ends, so that others learn of it
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) shutdown_delay: Duration,
    /// How often the certificate, the configuration and the policies are looked at for changes
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) poll: Duration,
    /// How many requests are judged at once [default: one a core]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroU16>,
    /// How to write logs, of which STAGEGATE_LOG chooses how many [default: info]
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// An object a line
    Json,
    /// For people
    Text,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Test {
    /// The folder: `*_test.rego` with the modules that they test, `<policy>/{allow,deny}-…`, and
    /// suites of test.gatekeeper.sh
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) brought: Brought,
    /// How to write the results
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub(crate) format: TestFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Policies {
    #[command(flatten)]
    pub(crate) known: Known,
    /// How to write the table
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectFormat {
    /// A stream of documents, each with its origin in a comment
    Yaml,
    /// An array of {"object", "origin", "stage"}
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// For people
    Text,
    /// For machines
    Json,
    /// For CI systems
    Junit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = stagegate_webhook::duration(text);
    duration.ok_or_else(|| "expected a duration such as 10s".to_owned())
}

fn kubernetes_version(text: &str) -> Result<KubernetesVersion, String> {
    KubernetesVersion::parse(text).ok_or_else(|| "expected a version such as 1.34".to_owned())
}

/// The command as clap knows it.
pub(crate) fn command() -> clap::Command {
    Args::command()
}

/// Formats with the files that they go to, in the order in which they were typed. An `--output`
/// belongs to the last `--format` before it that has none; where as many of both were typed, to
/// the format of its place.
pub(crate) fn outputs(
    lint: &Lint,
    matches: &ArgMatches,
) -> Result<Vec<(ReportFormat, Option<PathBuf>)>, String> {
    let mut pairs = paired(lint, matches)?;
    for (_, output) in &mut pairs {
        if output.as_deref() == Some(Path::new("-")) {
            *output = None;
        }
    }
    for (i, (_, output)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(_, other)| other == output) {
            return Err(match output {
                None => "only one --format can go to standard output; give the others an --output"
                    .to_owned(),
                Some(path) => format!("two formats cannot both go to {}", path.display()),
            });
        }
    }
    Ok(pairs)
}

fn paired(
    lint: &Lint,
    matches: &ArgMatches,
) -> Result<Vec<(ReportFormat, Option<PathBuf>)>, String> {
    if lint.formats.is_empty() {
        return match lint.outputs.as_slice() {
            [] => Ok(vec![(ReportFormat::Text, None)]),
            [one] => Ok(vec![(ReportFormat::Text, Some(one.clone()))]),
            _ => Err("every --output needs a --format before it".to_owned()),
        };
    }
    let mut pairs: Vec<(ReportFormat, Option<PathBuf>)> =
        lint.formats.iter().map(|f| (*f, None)).collect();
    if lint.formats.len() == lint.outputs.len() {
        for (pair, output) in pairs.iter_mut().zip(&lint.outputs) {
            pair.1 = Some(output.clone());
        }
        return Ok(pairs);
    }
    let typed = matches.subcommand().map(|(_, m)| m);
    let places = |name: &str| -> Vec<usize> {
        typed
            .and_then(|m| m.indices_of(name))
            .map(Iterator::collect)
            .unwrap_or_default()
    };
    let format_places = places("formats");
    for (output, place) in lint.outputs.iter().zip(places("outputs")) {
        let before = format_places
            .iter()
            .enumerate()
            .rev()
            .find(|(i, format)| **format < place && pairs[*i].1.is_none());
        match before {
            Some((i, _)) => pairs[i].1 = Some(output.clone()),
            None => {
                return Err(format!(
                    "--output {} has no --format before it",
                    output.display()
                ));
            }
        }
    }
    Ok(pairs)
}
