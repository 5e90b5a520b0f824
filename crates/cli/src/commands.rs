//! What each command does.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ArgMatches;
use serde::Serialize;
use stagegate_config::FILE_NAME;
use stagegate_core::{Door, Exhaustion, Limits, Node, Settings};
use stagegate_lint::{OriginReport, Repository};
use stagegate_render::Tree;
use stagegate_report::printable;

use crate::args::{self, Args, Command, Coverage, Known, Lint, ObjectFormat, Render, TableFormat};
use crate::engine;
use crate::error::Error;
use crate::output::{self, to_stdout};
use crate::progress::Bar;
use crate::workspace::{Workspace, configure};

/// Runs the command that was typed; gives its exit code.
pub(crate) fn run(args: Args, matches: &ArgMatches) -> Result<u8, Error> {
    match args.command {
        Command::Lint(lint) => self::lint(&lint, matches),
        Command::Render(render) => self::render(&render),
        Command::Coverage(coverage) => self::coverage(&coverage),
        Command::Policies(policies) => {
            let engine = known_engine(&policies.known)?;
            let metas = engine.policies().map(AsRef::as_ref);
            to_stdout(|out| match policies.format {
                TableFormat::Text => stagegate_report::policies_text(metas, out),
                TableFormat::Json => stagegate_report::policies_json(metas, out),
            })?;
            Ok(0)
        }
        Command::Explain { id, known } => explain(&id, &known),
        Command::ConfigSchema { known } => config_schema(&known),
        Command::Replay(replay) => crate::replay::run(&replay),
        Command::Serve(serve) => crate::serve::run(&serve),
        Command::Test(test) => crate::test::run(&test),
        Command::Completions { shell } => {
            let mut command = args::command();
            to_stdout(|mut out| {
                clap_complete::generate(shell, &mut command, "stagegate", &mut out);
                Ok(())
            })?;
            Ok(0)
        }
        Command::Man => {
            to_stdout(|mut out| clap_mangen::Man::new(args::command()).render(&mut out))?;
            Ok(0)
        }
    }
}

/// The policies that are known here, and what brings them along.
fn known_policies(known: &Known) -> Result<engine::Policies, Error> {
    let root = Path::new(".");
    let tree = Tree::new(root).map_err(|source| Error::Read {
        path: root.to_owned(),
        source,
    })?;
    let here = tree.absolute(FILE_NAME);
    let config = known
        .config
        .clone()
        .or(here.is_file().then(|| FILE_NAME.into()));
    Ok(configure(&tree, config.as_deref(), &known.brought)?.policies)
}

fn known_engine(known: &Known) -> Result<stagegate_core::Engine, Error> {
    let policies = known_policies(known)?;
    Ok(policies.engine(Settings::default())?.0)
}

/// Today in UTC.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::Zoned::now()
        .with_time_zone(jiff::tz::TimeZone::UTC)
        .date()
}

/// Prints the JSON Schema of the configuration.
fn config_schema(known: &Known) -> Result<u8, Error> {
    let policies = known_policies(known)?;
    let schema = stagegate_config::schema(policies.metas());
    to_stdout(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    })?;
    Ok(0)
}

fn lint(lint: &Lint, matches: &ArgMatches) -> Result<u8, Error> {
    let outputs = args::outputs(lint, matches).map_err(Error::Usage)?;
    let (mut workspace, policies) = Workspace::open(&lint.source)?;
    let mut settings = workspace.config.settings.clone();
    if let Some(version) = lint.kubernetes_version {
        settings.kubernetes_version = version;
    }
    if !lint.policies.is_empty() {
        settings.only = Some(lint.policies.clone());
    }
    let (engine, unsupported) = policies.engine(settings)?;
    let today = lint.today.unwrap_or_else(today);
    let is_folder = workspace.is_folder();
    let bar = Bar::new();
    let progress = |step| bar.step(step);
    let mut repository = workspace.render(&lint.source, &progress)?;
    repository.complete &= is_folder;
    repository.failures.extend(engine::not_judged(
        &engine,
        &unsupported,
        repository.stages.iter().map(|s| &s.stage),
        Door::Repository,
        workspace.tree.sources(),
    ));
    for stage in &repository.stages {
        tracing::debug!(
            stage = stage.stage.name,
            objects = stage.objects.len(),
            "rendered"
        );
    }
    let exhaustion = Exhaustion::default();
    let limits = Limits {
        today: Some(today),
        exhaustion: Some(&exhaustion),
        ..Limits::default()
    };
    let report = stagegate_lint::lint(
        &engine,
        &repository,
        &workspace.tree,
        &workspace.config,
        &limits,
        &progress,
    );
    drop(bar);
    output::write_reports(&report, &workspace.tree, &outputs, lint.strict, lint.color)?;
    // The process ends here, and the system takes millions of nodes back faster than they can be
    // freed one by one.
    std::mem::forget((repository, workspace));
    Ok(report.exit_code(lint.strict))
}

fn coverage(coverage: &Coverage) -> Result<u8, Error> {
    let (repository, workspace) = rendered(&coverage.source)?;
    let account = stagegate_lint::Coverage::of(&repository);
    to_stdout(|out| match coverage.format {
        TableFormat::Text => stagegate_report::coverage_text(&account, out),
        TableFormat::Json => stagegate_report::coverage_json(&account, out),
    })?;
    Ok(tell_failures(&repository, &workspace.tree))
}

fn render(render: &Render) -> Result<u8, Error> {
    let (repository, workspace) = rendered(&render.source)?;
    to_stdout(|out| match render.format {
        ObjectFormat::Yaml => objects_as_yaml(&repository, &workspace.tree, out),
        ObjectFormat::Json => objects_as_json(&repository, &workspace.tree, out),
    })?;
    let code = tell_failures(&repository, &workspace.tree);
    if code == 0 && repository.stages.iter().all(|s| s.objects.is_empty()) {
        return Err(Error::Usage(
            "there is no Kubernetes object here".to_owned(),
        ));
    }
    Ok(code)
}

fn rendered(source: &args::Source) -> Result<(Repository, Workspace), Error> {
    let (mut workspace, _) = Workspace::open(source)?;
    let bar = Bar::new();
    let repository = workspace.render(source, &|step| bar.step(step))?;
    Ok((repository, workspace))
}

/// Says what could not be read or rendered; gives the exit code.
fn tell_failures(repository: &Repository, tree: &Tree) -> u8 {
    for failure in &repository.failures {
        let place = match tree.sources().locate(failure.mark) {
            Some(at) => format!("{}:{}:{}", at.path, at.line, at.column),
            None => failure.path.clone(),
        };
        output::tell(&printable(&format!("error: {place}: {}", failure.message)));
        if let Some(help) = &failure.help {
            output::tell(&printable(&format!("  fix: {help}")));
        }
    }
    if repository.failures.is_empty() { 0 } else { 2 }
}

#[derive(Serialize)]
struct RenderedObject<'a> {
    object: &'a Node,
    origin: OriginReport,
    stage: &'a str,
}

fn objects_as_json(
    repository: &Repository,
    tree: &Tree,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let objects: Vec<RenderedObject<'_>> = repository
        .stages
        .iter()
        .flat_map(|stage| stage.objects.iter().map(move |object| (stage, object)))
        .map(|(stage, object)| RenderedObject {
            object: &object.node,
            origin: OriginReport::of(object, tree),
            stage: &stage.stage.name,
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &objects)?;
    writeln!(out)
}

fn objects_as_yaml(
    repository: &Repository,
    tree: &Tree,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    for stage in &repository.stages {
        for object in &stage.objects {
            let chain = OriginReport::of(object, tree).chain;
            writeln!(
                out,
                "---\n# Stage: {}\n# Origin: {}",
                printable(&stage.stage.name),
                printable(&chain.join(" > "))
            )?;
            let text = serde_saphyr::to_string(&object.node).map_err(std::io::Error::other)?;
            writeln!(out, "{}", text.trim_end())?;
        }
    }
    Ok(())
}

fn explain(id: &str, known: &Known) -> Result<u8, Error> {
    let engine = known_engine(known)?;
    let Some(meta) = engine.policies().find(|m| m.id == id) else {
        let known: BTreeSet<&str> = engine.policies().map(|m| &*m.id).collect();
        let help = stagegate_config::suggest(id, known.into_iter());
        return Err(Error::Usage(format!("there is no policy {id:?}; {help}")));
    };
    to_stdout(|out| stagegate_report::explain(meta, out))?;
    Ok(0)
}
