//! Renders every kustomization of a folder twice, in this process and by kustomize, and prints where
//! the two differ. For `scripts/kustomize-diff`.

#![allow(clippy::print_stdout, reason = "this is its output")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rayon::prelude::*;
use stagegate_core::{Mark, Node, PathGlob};
use stagegate_manifest::{Format, Profile, Sources, decode, load};
use stagegate_render::{
    ExternalKustomize, KUSTOMIZATION_FILE_NAMES, Kustomize, LoadRestrictions, Program, Renderer,
    Tree,
};

/// What became of one kustomization.
enum Answer {
    Equal(usize),
    /// Both refuse it.
    Refused,
    /// It is left to the program, or something in it is remote.
    NotOurs(String),
    Different(String),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("kustomize-diff FOLDER [--unrestricted]")?;
    let unrestricted = arguments.next().is_some_and(|a| a == "--unrestricted");
    let program = Program::find(std::env::var_os("PATH").as_deref())
        .ok_or("neither kustomize nor kubectl is in PATH")?;
    let tree = Tree::new(Path::new(&folder))?;
    let mut folders = Vec::new();
    kustomizations(tree.root(), &mut folders)?;
    folders.sort();
    let rules = if unrestricted {
        vec![(PathGlob::new("**", Mark::NONE)?, true)]
    } else {
        Vec::new()
    };
    let native = Kustomize::new(
        ExternalKustomize::forbidden(),
        LoadRestrictions {
            rules,
            flux: Vec::new(),
        },
    );
    let answers: Vec<(String, Answer)> = folders
        .par_iter()
        .map(|folder| {
            let name = tree.relative(folder);
            let answer = compare(&name, folder, &tree, &native, &program, unrestricted);
            (name, answer)
        })
        .collect();
    let (mut equal, mut objects, mut refused, mut others, mut different) = (0, 0, 0, 0, 0);
    for (name, answer) in answers {
        match answer {
            Answer::Equal(count) => {
                equal += 1;
                objects += count;
            }
            Answer::Refused => refused += 1,
            Answer::NotOurs(why) => {
                others += 1;
                println!("{name}: not compared: {why}");
            }
            Answer::Different(how) => {
                different += 1;
                println!("{name}: {how}");
            }
        }
    }
    println!(
        "{equal} equal with {objects} objects, {different} different, {refused} refused by both, \
         {others} not compared"
    );
    Ok(ExitCode::from(u8::from(different > 0)))
}

/// Folders with a kustomization, whatever else they are.
fn kustomizations(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if KUSTOMIZATION_FILE_NAMES
        .iter()
        .any(|name| folder.join(name).is_file())
    {
        found.push(folder.to_owned());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            kustomizations(&entry.path(), found)?;
        }
    }
    Ok(())
}

fn compare(
    name: &str,
    folder: &Path,
    tree: &Tree,
    native: &Kustomize,
    program: &Program,
    unrestricted: bool,
) -> Answer {
    let rendering = native.render(name, tree);
    let failures = &rendering.failures;
    if failures
        .iter()
        .any(|f| f.external || f.message.contains("is remote"))
    {
        return Answer::NotOurs("something in it is remote".to_owned());
    }
    if let Some(f) = failures
        .iter()
        .find(|f| f.message.contains("--no-external") || f.message.contains("helmCharts"))
    {
        return Answer::NotOurs(f.message.clone());
    }
    let mut command = Command::new(&program.path);
    command.args(program.arguments).arg(folder);
    if unrestricted {
        command.args(["--load-restrictor", "LoadRestrictionsNone"]);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Answer::NotOurs(error.to_string()),
    };
    let ours = failures
        .first()
        .map(|f| format!("{}: {}", f.path, f.message));
    match (output.status.success(), ours) {
        (false, Some(_)) => return Answer::Refused,
        (true, Some(why)) => return Answer::Different(format!("refused here only: {why}")),
        (false, None) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Answer::Different(format!("refused there only: {why}"));
        }
        (true, None) => {}
    }
    let sources = Sources::new();
    let file = sources.add(String::new(), decode(output.stdout));
    let Some(source) = sources.get(file) else {
        return Answer::NotOurs("no output".to_owned());
    };
    let theirs = load(file, &source, Format::Yaml, Profile::Apply).documents;
    let ours: Vec<&Node> = rendering
        .objects
        .iter()
        .map(|object| &object.node)
        .collect();
    for (i, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        if theirs != *ours {
            let json = |node| serde_json::to_string(node).unwrap_or_default();
            return Answer::Different(format!(
                "object {i}\n  there {}\n  here  {}",
                json(theirs),
                json(ours)
            ));
        }
    }
    if theirs.len() != ours.len() {
        return Answer::Different(format!(
            "{} objects there, {} here",
            theirs.len(),
            ours.len()
        ));
    }
    Answer::Equal(ours.len())
}
