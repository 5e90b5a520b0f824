//! kustomize as a program: `kustomize build` or `kubectl kustomize`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use process_control::{ChildExt, Control, Output};
use stagegate_core::{Mark, Object};
use stagegate_manifest::{Format, Profile, Sources, decode, expand_list, load};

use crate::closure::Closure;
use crate::provenance::Provenance;
use crate::tree::relative_path;
use crate::{Failure, Renderer, Rendering, Tree};

/// How messages begin that repeat what kustomize said.
pub const REFUSED: &str = "kustomize refuses it";

/// Renders by starting a program for each root.
pub struct ExternalKustomize {
    program: Option<Program>,
    /// Why there is no program, and what to do about it.
    absent: (&'static str, &'static str),
    /// How long one root may take.
    pub time_limit: Duration,
    /// How many bytes of memory one root may take. A real overlay was seen to take 11 GB.
    pub memory_limit: usize,
}

/// A program that renders kustomizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What comes before the folder.
    pub arguments: &'static [&'static str],
}

impl Program {
    /// The first of `kustomize` and `kubectl` in the folders of a search path.
    pub fn find(search_path: Option<&OsStr>) -> Option<Program> {
        let folders: Vec<PathBuf> = search_path
            .map(|p| std::env::split_paths(p).collect())
            .unwrap_or_default();
        [
            ("kustomize", &["build"][..]),
            ("kubectl", &["kustomize"][..]),
        ]
        .into_iter()
        .find_map(|(name, arguments)| {
            let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
            let path = folders
                .iter()
                .map(|f| f.join(&name))
                .find(|p| is_executable(p))?;
            Some(Program { path, arguments })
        })
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

impl ExternalKustomize {
    /// A renderer by this program, or one that says that there is none.
    pub fn new(program: Option<Program>) -> Self {
        ExternalKustomize {
            program,
            absent: (
                "rendering this takes kustomize or kubectl, and neither is in PATH",
                "install kustomize (https://kubectl.docs.kubernetes.io/installation/kustomize/) \
                 or kubectl",
            ),
            time_limit: Duration::from_secs(60),
            memory_limit: 4 << 30,
        }
    }

    /// A renderer that starts no program (`--no-external`).
    pub fn forbidden() -> Self {
        let absent = (
            "rendering this takes kustomize or kubectl, and --no-external forbids both",
            "run it without --no-external, with kustomize or kubectl installed",
        );
        ExternalKustomize {
            absent,
            ..Self::new(None)
        }
    }

    fn run(&self, program: &Program, folder: &Path) -> io::Result<Output> {
        let child = Command::new(&program.path)
            .args(program.arguments)
            .arg(folder)
            // What a kustomization may name is checked before; should anything be missed, it finds
            // no way out of the machine.
            .envs(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(|v| (v, NOWHERE)))
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let too_much = Arc::new(AtomicBool::new(false));
        let control = child
            .controlled_with_output()
            .time_limit(self.time_limit)
            .stdout_filter(bounded(MAX_OUTPUT, &too_much))
            .stderr_filter(bounded(MAX_ERRORS, &Arc::default()));
        #[cfg(any(target_os = "linux", windows))]
        let control = control.memory_limit(self.memory_limit);
        let output = control.terminate_for_timeout().wait()?;
        if too_much.load(Ordering::Relaxed) {
            let message = format!("it gave more than {} MiB of objects", MAX_OUTPUT >> 20);
            return Err(io::Error::other(message));
        }
        output.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

/// A proxy that nobody listens at.
const NOWHERE: &str = "http://127.0.0.1:9";
/// The largest rendering that is read. Argo CD's own installation has 2 MiB.
const MAX_OUTPUT: usize = 256 << 20;
/// How much is read of what went wrong.
const MAX_ERRORS: usize = 1 << 20;

/// Keeps the first bytes of a stream and says whether there were more.
fn bounded(
    max: usize,
    exceeded: &Arc<AtomicBool>,
) -> impl FnMut(&[u8]) -> io::Result<bool> + Send + 'static {
    let exceeded = Arc::clone(exceeded);
    let mut seen = 0usize;
    move |bytes| {
        seen = seen.saturating_add(bytes.len());
        let keep = seen <= max;
        if !keep {
            exceeded.store(true, Ordering::Relaxed);
        }
        Ok(keep)
    }
}

impl ExternalKustomize {
    /// Whether there is a program to start.
    pub(crate) fn is_available(&self) -> bool {
        self.program.is_some()
    }

    /// Why there is none, and what to do about it.
    pub(crate) fn absent(&self) -> (&'static str, &'static str) {
        self.absent
    }

    fn objects(&self, directory: &str, tree: &Tree) -> Result<Vec<Object>, Vec<Failure>> {
        let closure = Closure::load(tree, directory)?;
        let root = closure.by_folder.get(directory);
        let path = root.map_or_else(|| directory.to_owned(), |k| k.path.clone());
        let mark = root.map_or(Mark::NONE, |k| Mark {
            end: k.mark.start,
            ..k.mark
        });
        let failure = |message: String, help: Option<String>| {
            vec![Failure {
                help,
                ..Failure::new(&path, mark, message)
            }]
        };
        let Some(program) = &self.program else {
            let (message, help) = self.absent;
            return Err(failure(message.to_owned(), Some(help.to_owned())));
        };
        let managed_by = root.is_some_and(|k| k.managed_by_label);
        let wrapper = Wrapper::around(&tree.absolute(directory), managed_by).map_err(|e| {
            // The error itself names a random folder.
            failure(
                format!("no temporary folder for rendering: {}", e.kind()),
                None,
            )
        })?;
        tracing::debug!(directory, program = %program.path.display(), "rendering");
        let output = self.run(program, &wrapper.folder).map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::TimedOut => {
                    format!("took longer than {} s to render", self.time_limit.as_secs())
                }
                io::ErrorKind::Other => format!("cannot be rendered: {error}"),
                _ => format!("cannot start {}: {error}", program.path.display()),
            };
            failure(message, None)
        })?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let message = if errors.contains("out of memory") || errors.contains("cannot allocate")
            {
                format!(
                    "took more than {} GiB of memory to render",
                    self.memory_limit >> 30
                )
            } else {
                explain(&errors, &wrapper, tree, directory)
            };
            return Err(failure(message, None));
        }

        let rendered = Sources::new();
        let file = rendered.add(String::new(), decode(output.stdout));
        let Some(source) = rendered.get(file) else {
            return Ok(Vec::new());
        };
        let loaded = load(file, &source, Format::Yaml, Profile::Apply);
        if let Some(problem) = loaded.problems.first() {
            let (line, column) = source.line_column(problem.mark.start as usize);
            return Err(failure(
                format!(
                    "line {line}, column {column} of its rendering: {}",
                    problem.message
                ),
                None,
            ));
        }
        let built_in = wrapper.folder.to_string_lossy();
        let mut provenance = Provenance::new(tree, &closure);
        Ok(loaded
            .documents
            .into_iter()
            .flat_map(expand_list)
            .filter_map(|node| provenance.attribute(node, &built_in))
            .collect())
    }
}

impl Renderer for ExternalKustomize {
    fn render(&self, directory: &str, tree: &Tree) -> Rendering {
        match self.objects(directory, tree) {
            Ok(objects) => Rendering {
                objects,
                failures: Vec::new(),
            },
            Err(failures) => Rendering {
                objects: Vec::new(),
                failures,
            },
        }
    }
}

/// A kustomization outside of the user's tree whose only resource is the root to render: it asks
/// for the origin of every object without touching a file of the user.
struct Wrapper {
    folder: PathBuf,
    /// Removes the folder in the end.
    _guard: tempfile::TempDir,
}

impl Wrapper {
    fn around(root: &Path, managed_by_label: bool) -> io::Result<Wrapper> {
        let guard = tempfile::Builder::new().prefix("stagegate-").tempdir()?;
        // kustomize compares real paths, and a temporary folder is often behind a link.
        let folder = guard.path().canonicalize()?;
        let resource = relative_path(&folder, &root.canonicalize()?);
        // Only the outermost kustomization's buildMetadata counts, and that is this one now.
        let managed_by = if managed_by_label {
            ", managedByLabel"
        } else {
            ""
        };
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\n\
             kind: Kustomization\n\
             buildMetadata: [originAnnotations, transformerAnnotations{managed_by}]\n\
             resources: ['{}']\n",
            resource.replace('\'', "''")
        );
        std::fs::write(folder.join("kustomization.yaml"), text)?;
        Ok(Wrapper {
            folder,
            _guard: guard,
        })
    }
}

/// kustomize's message in terms of the tree: the innermost cause, without anything that differs
/// between two runs or two machines.
fn explain(errors: &str, wrapper: &Wrapper, tree: &Tree, directory: &str) -> String {
    let lines = errors
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let text = lines.map(without_log_prefix).collect::<Vec<_>>().join(" ");
    let root = tree.root().to_string_lossy();
    let folder = wrapper.folder.to_string_lossy();
    let way = relative_path(&wrapper.folder, tree.root());
    let text = text
        .replace("\\\"", "\"")
        .replace(&format!("{folder}/"), "")
        .replace(&*folder, directory)
        .replace(&format!("{root}/"), "")
        .replace(&*root, ".")
        .replace(&format!("{way}/"), "")
        .replace(&way, ".");
    // Every level repeats the way to it: `accumulating resources: … : the cause`.
    let cause = text
        .rsplit("accumulating resources: ")
        .next()
        .and_then(|rest| rest.split(": must build at directory").next())
        .unwrap_or(&text);
    let cause = cause
        .trim_start_matches("Error: ")
        .trim_start_matches("error: ");
    let cause: String = cause
        .trim()
        .trim_end_matches(['>', '"', ' '])
        .chars()
        .take(600)
        .collect();
    if cause.is_empty() {
        "kustomize failed without a message".to_owned()
    } else {
        format!("{REFUSED}: {cause}")
    }
}

/// A line of kubectl's log without severity, time and process:
/// `E1121 11:19:57.442664   15010 run.go:72] "command failed" err="…"`.
fn without_log_prefix(line: &str) -> &str {
    let mut letters = line.chars();
    let is_log = letters.next().is_some_and(|c| "EWIF".contains(c))
        && letters.by_ref().take(4).all(|c| c.is_ascii_digit())
        && letters.next() == Some(' ');
    match line.split_once("] ") {
        Some((_, rest)) if is_log => {
            let rest = rest.split_once("err=").map_or(rest, |(_, err)| err);
            rest.trim_start_matches(['<', '"', '\\'])
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_nothing_that_changes_between_runs() {
        let line = r#"E1121 11:19:57.442664   15010 run.go:72] "command failed" err="wrong "x"""#;
        assert_eq!(without_log_prefix(line), r#"wrong "x"""#);
        assert_eq!(
            without_log_prefix("Error: wrong [a] b"),
            "Error: wrong [a] b"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_does_not_end_or_gives_too_much_is_stopped() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let render = |script: &str| {
            let path = folder.path().join("kustomize");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let root = folder.path().join("root");
            std::fs::create_dir_all(&root).unwrap();
            std::fs::write(root.join("kustomization.yaml"), "resources: []").unwrap();
            let program = Program {
                path,
                arguments: &["build"],
            };
            let mut renderer = ExternalKustomize::new(Some(program));
            renderer.time_limit = Duration::from_secs(1);
            let rendering = renderer.render(".", &Tree::new(&root).unwrap());
            rendering.failures[0].message.clone()
        };
        assert_eq!(render("exec sleep 60"), "took longer than 1 s to render");
        assert_eq!(
            render("echo 'Error: no' >&2; exit 1"),
            "kustomize refuses it: no"
        );
        assert_eq!(
            render("echo 'fatal error: runtime: out of memory' >&2; exit 2"),
            "took more than 4 GiB of memory to render"
        );
        assert_eq!(render("exit 1"), "kustomize failed without a message");
        assert!(render("echo 'a: ['").starts_with("line 1, column"));
    }

    #[test]
    fn output_beyond_the_bound_is_dropped_and_told() {
        let exceeded = Arc::new(AtomicBool::new(false));
        let mut filter = bounded(4, &exceeded);
        assert!(filter(b"abc").unwrap());
        assert!(!exceeded.load(Ordering::Relaxed));
        assert!(!filter(b"de").unwrap());
        assert!(exceeded.load(Ordering::Relaxed));
    }
}
