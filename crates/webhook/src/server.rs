//! A server from its start to its end.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::post;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::connection::{Acceptor, Phase};
use crate::health::{self, Health, OwnDials};
use crate::metrics::Metrics;
use crate::policies::prepared;
use crate::pool::Pool;
use crate::validate::{Validator, validate};
use crate::{Certificates, ConnectionLimits, Options, PolicySource, Reload, TlsError};

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate cannot.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There are no policies to judge by.
    #[error("{0}")]
    Policies(String),
    /// An address is not free, or not of this machine.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no more threads, or signals cannot be heard.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Drained,
    /// Requests were left unanswered: a second signal came, or they took too long.
    Cut,
}

/// What asks for the end. The first time everything is answered before, the second time nothing is
/// waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Others have to learn first that this replica goes.
    Gently,
    /// Nobody has to learn it, such as where a person presses Ctrl-C.
    Soon,
}

/// A server that listens.
pub struct Server {
    options: Options,
    source: Arc<dyn PolicySource>,
    looked: u128,
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
    validator: Arc<Validator>,
    listener: TcpListener,
    admin: TcpListener,
}

impl Server {
    /// Reads certificate and policies, compiles them for every thread, and listens. Whoever connects
    /// waits until [`Server::run`].
    ///
    /// # Errors
    /// If any of that is not possible.
    pub async fn start(
        options: Options,
        source: Arc<dyn PolicySource>,
    ) -> Result<Server, ServeError> {
        let metrics = Arc::new(Metrics::new());
        let certificates = Arc::new(Certificates::load(options.tls.clone())?);
        metrics.certificate(certificates.serving().expires);
        // Looked at before they are read: a change in between is another one.
        let looked = source.look();
        let set = source.load().map_err(ServeError::Policies)?;
        metrics.policy_set(&set.digest);
        let judging = Pool::start("judge", options.workers)?;
        let refusing = Pool::start("refuse", NonZeroUsize::MIN)?;
        let set = prepared(set, &judging);
        let listener = listen(options.bind)?;
        let admin = listen(options.admin_bind)?;
        let validator = Arc::new(Validator::new(
            ArcSwap::new(set),
            Arc::clone(&metrics),
            judging,
            refusing,
            options.timeout,
            options.bodies.clone(),
        ));
        Ok(Server {
            options,
            source,
            looked,
            certificates,
            metrics,
            validator,
            listener,
            admin,
        })
    }

    /// Where requests are judged.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where health and metrics are told.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until it is asked to stop.
    ///
    /// # Errors
    /// If the system does not say where it listens.
    pub async fn run(self, mut stops: mpsc::Receiver<Stop>) -> Result<Ended, ServeError> {
        let address = self.address()?;
        let admin_address = self.admin_address()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let own_dials = Arc::new(OwnDials::default());
        let options = &self.options;
        let router = Router::new()
            .route("/validate", post(validate))
            .with_state(Arc::clone(&self.validator));
        let acceptor = Acceptor {
            listener: self.listener,
            tls: Some(Arc::clone(&self.certificates)),
            router,
            limits: options.connections.clone(),
            phase: phases.clone(),
            alive,
            metrics: Some(Arc::clone(&self.metrics)),
            own_dials: Arc::clone(&own_dials),
        };
        let health = Health {
            phase: phases.clone(),
            certificates: Arc::clone(&self.certificates),
            metrics: Arc::clone(&self.metrics),
            validator: Arc::clone(&self.validator),
            own_dials: Arc::clone(&own_dials),
            address,
            last_dial: tokio::sync::Mutex::default(),
        };
        // Health is told until the very end, by connections that nobody waits for.
        let (admin_phase, admin_phases) = watch::channel(Phase::Serving);
        let (admin_alive, _admin_ended) = mpsc::channel(1);
        let admin_acceptor = Acceptor {
            listener: self.admin,
            tls: None,
            router: health::router(Arc::new(health)),
            limits: ConnectionLimits {
                most: 64,
                idle: Duration::from_secs(30),
                ..options.connections.clone()
            },
            phase: admin_phases,
            alive: admin_alive,
            metrics: None,
            own_dials,
        };
        let accepting = tokio::spawn(acceptor.accept());
        let admin = tokio::spawn(admin_acceptor.accept());
        let certificates = tokio::spawn(reload_certificates(
            Arc::clone(&self.certificates),
            Arc::clone(&self.metrics),
            options.poll,
        ));
        let policies = tokio::spawn(reload_policies(
            self.source,
            self.looked,
            Arc::clone(&self.validator),
            options.poll,
        ));
        tracing::info!(%address, %admin_address, digest = self.validator.policies.load().digest, "serving");

        let first = stops.recv().await;
        let leave = async {
            phase.send_replace(Phase::Leaving);
            tracing::info!("not ready any more");
            if first == Some(Stop::Gently) {
                tokio::time::sleep(options.shutdown_delay).await;
            }
            phase.send_replace(Phase::Draining);
            let _ = accepting.await;
            let longest = options.timeout + options.bodies.time;
            match tokio::time::timeout(longest, ended.recv()).await {
                Ok(_) => Ended::Drained,
                Err(_) => Ended::Cut,
            }
        };
        let again = async {
            // Without anybody to stop it again, it ends by itself.
            if stops.recv().await.is_none() {
                pending::<()>().await;
            }
        };
        let how = tokio::select! {
            how = leave => how,
            () = again => Ended::Cut,
        };
        certificates.abort();
        policies.abort();
        drop(admin_phase);
        admin.abort();
        tracing::info!(unanswered = how == Ended::Cut, "stopped");
        Ok(how)
    }
}

/// Serves until the system's signals say otherwise.
///
/// # Errors
/// If nothing can be served: see [`Server::start`].
pub fn serve(options: Options, source: Arc<dyn PolicySource>) -> Result<Ended, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let stops = signals()?;
        Server::start(options, source).await?.run(stops).await
    });
    // What still runs is waited for by nobody.
    runtime.shutdown_background();
    ended
}

/// Connections that may wait to be accepted. The usual 128 are too few where a cluster comes back.
const BACKLOG: u32 = 1024;

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A successor must not wait for connections that have ended.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| ServeError::Bind { address, source })
}

/// Signals of the system as what they ask for: SIGTERM comes from who runs replicas, SIGINT from a
/// person.
fn signals() -> io::Result<mpsc::Receiver<Stop>> {
    let (sender, receiver) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for (kind, stop) in [
            (SignalKind::terminate(), Stop::Gently),
            (SignalKind::interrupt(), Stop::Soon),
        ] {
            let mut signal = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    if sender.send(stop).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.send(Stop::Soon).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Ticks for looking at files.
fn looks(often: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(often.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn reload_certificates(
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
    often: Duration,
) {
    let mut ticks = looks(often);
    let mut told = None;
    loop {
        ticks.tick().await;
        let own = Arc::clone(&certificates);
        let Ok(reloaded) = tokio::task::spawn_blocking(move || own.reload()).await else {
            continue;
        };
        match reloaded {
            Ok(Reload::Unchanged) => told = None,
            Ok(Reload::Replaced) => {
                told = None;
                let expires = certificates.serving().expires;
                metrics.certificate(expires);
                metrics.certificate_reloaded(true);
                tracing::info!(%expires, "serving another certificate");
            }
            Err(error) => {
                // What stays as it is is told once.
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    metrics.certificate_reloaded(false);
                    tracing::error!(error, "the certificate that was served before stays");
                    told = Some(error);
                }
            }
        }
    }
}

async fn reload_policies(
    source: Arc<dyn PolicySource>,
    looked: u128,
    validator: Arc<Validator>,
    often: Duration,
) {
    let mut ticks = looks(often);
    let mut last = looked;
    loop {
        ticks.tick().await;
        let (own, source) = (Arc::clone(&validator), Arc::clone(&source));
        let look = tokio::task::spawn_blocking(move || {
            let now = source.look();
            if now != last {
                replace(&*source, &own);
            }
            now
        });
        // A panic is that of a file: it is looked at again when it changes.
        last = look.await.unwrap_or(last);
    }
}

/// Reads another set of policies and lets it judge, or says why it cannot.
fn replace(source: &dyn PolicySource, validator: &Validator) {
    let metrics = &validator.metrics;
    match source.load() {
        Ok(set) => {
            let set = prepared(set, &validator.judging);
            metrics.policy_set(&set.digest);
            metrics.policies_reloaded(true);
            tracing::info!(digest = set.digest, "judging by other policies");
            validator.policies.store(set);
        }
        Err(error) => {
            metrics.policies_reloaded(false);
            tracing::error!(error, "the policies that judged before stay");
        }
    }
}
