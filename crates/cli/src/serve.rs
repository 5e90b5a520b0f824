//! The admission webhook.

use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stagegate_config::Config;
use stagegate_manifest::Sources;
use stagegate_webhook::{CertificateFiles, Ended, Options, PolicySet, PolicySource};

use crate::args::{LogFormat, Serve};
use crate::engine;
use crate::error::Error;
use crate::online::{Online, Typed};
use crate::output::complaints;

/// Logs as somebody reads them who is not there: as JSON, and what was decided, too.
pub(crate) fn init_logs(format: LogFormat) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(crate::log_level("info"))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.init(),
    }
    // What a panic says may hold what was judged; where it happened does not.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic, which is a bug");
    }));
}

/// Runs the command; gives its exit code.
pub(crate) fn run(serve: &Serve) -> Result<u8, Error> {
    if !serve.no_cluster {
        return Err(Error::Usage(
            "give --no-cluster: policies of scope object and request judge, and those that compare \
             objects do not; without it, nothing can be served yet"
                .to_owned(),
        ));
    }
    let source = Files {
        typed: Typed {
            config: serve.config.clone(),
            brought: serve.brought.clone(),
            stage: serve.stage.clone(),
        },
        first: Mutex::default(),
    };
    // Mistakes are shown as other commands show them; later they are logged. Looked at before they are
    // read: a change in between is another one.
    let first = (source.look(), source.online()?);
    *source.first() = Some(first);
    let mut options = Options::new(
        serve.bind,
        serve.admin_bind,
        CertificateFiles {
            certificate: serve.tls_cert.clone(),
            key: serve.tls_key.clone(),
            client_ca: serve.client_ca.clone(),
        },
    );
    options.timeout = serve.timeout;
    options.shutdown_delay = serve.shutdown_delay;
    options.poll = serve.poll;
    options.connections.most = connections();
    if let Some(workers) = serve.workers {
        options.workers = workers.into();
    }
    Ok(match stagegate_webhook::serve(options, Arc::new(source))? {
        Ended::Drained => 0,
        Ended::Cut => 1,
    })
}

/// As many connections as there are descriptors for, with some left for files and for health.
fn connections() -> usize {
    let most = stagegate_webhook::ConnectionLimits::default().most;
    #[cfg(unix)]
    {
        const OTHERS: u64 = 100;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let room = limit.map(|limit| limit.saturating_sub(OTHERS).max(limit / 4).max(1));
        let room = room.and_then(|room| usize::try_from(room).ok());
        most.min(room.unwrap_or(most))
    }
    #[cfg(not(unix))]
    most
}

/// The configuration and the policies where they stand, such as in ConfigMaps that are mounted.
struct Files {
    typed: Typed,
    /// What they held when the command began, with its name, until it is asked for.
    first: Mutex<Option<(u128, Online)>>,
}

impl Files {
    fn first(&self) -> MutexGuard<'_, Option<(u128, Online)>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What they hold, if all of it can judge.
    fn online(&self) -> Result<Online, Error> {
        let online = Online::load(&self.typed)?;
        let not_judged: Vec<String> = online
            .not_judged
            .iter()
            .map(|failure| {
                let help = failure.help.as_deref();
                let help = help.map(|help| format!("; {help}")).unwrap_or_default();
                format!("{}: {}{help}", failure.path, failure.message)
            })
            .collect();
        if not_judged.is_empty() {
            Ok(online)
        } else {
            Err(Error::Usage(not_judged.join("\n")))
        }
    }

    /// The folders and files of policies: what was typed, and what the configuration names.
    fn policies(&self) -> Vec<PathBuf> {
        let mut paths = self.typed.brought.folders.clone();
        if let Some(config) = &self.typed.config
            && let Ok(bytes) = std::fs::read(config)
        {
            let sources = Sources::new();
            let text = stagegate_manifest::decode(bytes);
            let id = sources.add(config.to_string_lossy().into_owned(), text);
            let source = sources.get(id).unwrap_or_default();
            let folder = config.parent().unwrap_or(Path::new("."));
            let named = Config::policy_dirs(id, &source).folders;
            paths.extend(named.iter().map(|(path, _)| folder.join(path)));
        }
        paths
    }
}

impl PolicySource for Files {
    fn look(&self) -> u128 {
        if let Some((looked, _)) = &*self.first() {
            return *looked;
        }
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        let mut add = |path: &Path| {
            hasher.write(path.as_os_str().as_encoded_bytes());
            match std::fs::read(path) {
                Ok(bytes) => {
                    hasher.write_usize(bytes.len());
                    hasher.write(&bytes);
                }
                // That it is not there is what it holds, and reading it says why.
                Err(_) => hasher.write_usize(usize::MAX),
            }
        };
        if let Some(config) = &self.typed.config {
            add(config);
        }
        for path in self.policies() {
            match engine::paths(&path) {
                Ok(files) => files.iter().for_each(|file| add(file)),
                Err((unreadable, _)) => add(&unreadable),
            }
        }
        hasher.digest128()
    }

    fn load(&self) -> Result<PolicySet, String> {
        let first = self.first().take();
        let online = match first {
            Some((_, first)) => first,
            None => self
                .online()
                .map_err(|error| complaints(&error, false).join("\n"))?,
        };
        for overlap in online.overlaps() {
            tracing::warn!("{overlap}");
        }
        Ok(PolicySet::new(online.engine, online.stage))
    }
}
