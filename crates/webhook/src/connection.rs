//! Connections: accepted, bounded, served and ended.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::Certificates;
use crate::health::OwnDials;
use crate::metrics::Metrics;
use crate::options::ConnectionLimits;

/// Heads of requests are short, and so is what may be read of one before it is a request.
const MOST_HEAD: usize = 64 << 10;
/// As many streams as one HTTP/2 connection may have at once.
const MOST_STREAMS: u32 = 250;
/// The longest pause after the system refused a connection, such as for want of descriptors.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is not near.
    Serving,
    /// Everything is served, but connections are not kept.
    Leaving,
    /// Nothing new is taken.
    Draining,
}

/// What accepts connections and serves them by a router.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    /// Without certificates, in the clear.
    pub(crate) tls: Option<Arc<Certificates>>,
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Every connection holds one until it ends.
    pub(crate) alive: mpsc::Sender<()>,
    /// Counted for, if anything is.
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) own_dials: Arc<OwnDials>,
}

impl Acceptor {
    /// Accepts until nothing new is to be taken.
    pub(crate) async fn accept(self) {
        let room = Arc::new(Semaphore::new(self.limits.most));
        let mut phase = self.phase.clone();
        let mut pause = Duration::ZERO;
        let Acceptor { listener, .. } = &self;
        let ends = async move {
            // The sender goes with the server.
            let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
        };
        let mut ends = pin!(ends);
        loop {
            // What waits in the system's queue costs no descriptor.
            let next = async {
                let room = Arc::clone(&room).acquire_owned().await;
                (room, listener.accept().await)
            };
            let (room, accepted) = tokio::select! {
                () = &mut ends => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = Duration::ZERO;
                    let connection = self.connection();
                    tokio::spawn(async move {
                        connection.serve(stream, peer).await;
                        drop(room);
                    });
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    self.failed("accept");
                    tracing::warn!(%error, "cannot accept a connection");
                    pause = (pause * 2).clamp(Duration::from_millis(10), LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn connection(&self) -> Connection {
        Connection {
            tls: self.tls.clone(),
            router: self.router.clone(),
            limits: self.limits.clone(),
            phase: self.phase.clone(),
            _alive: self.alive.clone(),
            metrics: self.metrics.clone(),
            own_dials: Arc::clone(&self.own_dials),
        }
    }

    fn failed(&self, reason: &'static str) {
        if let Some(metrics) = &self.metrics {
            metrics.connection_failed(reason);
        }
    }
}

/// Whether a connection ended before it was accepted, which is no reason to wait.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// One connection and what it is served by.
struct Connection {
    tls: Option<Arc<Certificates>>,
    router: Router,
    limits: ConnectionLimits,
    phase: watch::Receiver<Phase>,
    _alive: mpsc::Sender<()>,
    metrics: Option<Arc<Metrics>>,
    own_dials: Arc<OwnDials>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        if let Some(metrics) = &self.metrics {
            metrics.connections.inc();
        }
        // An answer is one write; nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let failed = match self.tls.as_ref().map(|tls| tls.serving()) {
            None => self.serve_on(stream, false).await.err(),
            Some(serving) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&serving.config));
                let handshake = acceptor.accept(stream);
                let shaken = tokio::time::timeout(self.limits.handshake, handshake).await;
                // By now it has said that it is.
                let is_own = self.own_dials.accepted(peer);
                match shaken {
                    Ok(Ok(stream)) => {
                        let protocol = stream.get_ref().1.alpn_protocol();
                        let is_http2 = protocol == Some(b"h2");
                        self.serve_on(stream, is_http2).await.err()
                    }
                    // It may have no certificate to show.
                    Ok(Err(_)) if is_own => None,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "the TLS handshake failed");
                        Some("handshake")
                    }
                    Err(_) => Some("handshake_timeout"),
                }
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
            if let Some(reason) = failed {
                metrics.connection_failed(reason);
            }
        }
    }

    async fn serve_on<S>(&self, stream: S, is_http2: bool) -> Result<(), &'static str>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let used = Arc::new(Usage::new(&self.limits, is_http2));
        let served = Served {
            router: self.router.clone(),
            used: Arc::clone(&used),
        };
        let io = TokioIo::new(Watched {
            stream,
            used: Arc::clone(&used),
        });
        if is_http2 {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MOST_STREAMS)
                .max_header_list_size(MOST_HEAD as u32)
                .keep_alive_interval(Duration::from_secs(30))
                .serve_connection(io, served);
            self.supervise(pin!(connection), &used).await
        } else {
            // The library's own limit on heads would bound idle connections, too.
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(MOST_HEAD)
                .serve_connection(io, served);
            self.supervise(pin!(connection), &used).await
        }
    }

    /// Drives a connection, and ends it when it is time.
    async fn supervise<C>(
        &self,
        mut connection: Pin<&mut C>,
        used: &Usage,
    ) -> Result<(), &'static str>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let limits = &self.limits;
        let mut phase = self.phase.clone();
        let mut asked_to_end: Option<Instant> = None;
        let often = (limits.head.min(limits.idle) / 5).min(Duration::from_secs(1));
        let mut ticks = tokio::time::interval(often.max(Duration::from_millis(1)));
        loop {
            let now_in = *phase.borrow_and_update();
            if now_in != Phase::Serving || used.age() > limits.max_age {
                used.is_last.store(true, Ordering::Relaxed);
            }
            let is_last = used.is_last.load(Ordering::Relaxed);
            let is_idle = used.is_idle();
            let ends = now_in == Phase::Draining
                // HTTP/1.1 says so in its next answer: to close what is idle would race with a
                // request that is on its way.
                || (is_last && used.is_http2 && used.requests.load(Ordering::Relaxed) > 0)
                || (is_idle && used.idle_for() > limits.idle);
            if ends && asked_to_end.is_none() {
                connection.as_mut().graceful_shutdown();
                asked_to_end = Some(Instant::now());
            }
            if is_idle && used.head_takes() > limits.head {
                return Err("head_timeout");
            }
            // It has nothing to say any more, and does not end: nobody reads what it says.
            if is_idle && asked_to_end.is_some_and(|at| at.elapsed() > limits.head) {
                return Err("unread");
            }
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke off");
                    }
                    return Ok(());
                }
                _ = ticks.tick() => {}
                () = used.changed.notified() => {}
                // The sender goes with the server, and then this goes, too.
                changed = phase.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
        }
    }
}

/// How a connection is used. Times are milliseconds from its beginning, from 1.
struct Usage {
    began: Instant,
    is_http2: bool,
    max_requests: u64,
    in_flight: AtomicU64,
    requests: AtomicU64,
    /// Since when the head of a request is awaited; 0 where none has begun.
    head_since: AtomicU64,
    idle_since: AtomicU64,
    /// The next request is the last.
    is_last: AtomicBool,
    changed: Notify,
}

impl Usage {
    fn new(limits: &ConnectionLimits, is_http2: bool) -> Usage {
        Usage {
            began: Instant::now(),
            is_http2,
            max_requests: limits.max_requests,
            in_flight: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            // Who connects has something to ask.
            head_since: AtomicU64::new(1),
            idle_since: AtomicU64::new(1),
            is_last: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.age().as_millis()).map_or(u64::MAX, |ms| ms.saturating_add(1))
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn idle_for(&self) -> Duration {
        let since = self.idle_since.load(Ordering::Relaxed);
        Duration::from_millis(self.now().saturating_sub(since))
    }

    fn head_takes(&self) -> Duration {
        match self.head_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }

    /// Something was read.
    fn read(&self) {
        // HTTP/2 says more than requests; there the time without one is bounded alone.
        if !self.is_http2 && self.is_idle() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    fn request(self: &Arc<Self>) -> Answering {
        self.head_since.store(0, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if self.requests.fetch_add(1, Ordering::Relaxed) + 1 >= self.max_requests {
            self.is_last.store(true, Ordering::Relaxed);
        }
        Answering(Arc::clone(self))
    }
}

/// A request on a connection, until it is answered.
struct Answering(Arc<Usage>);

impl Drop for Answering {
    fn drop(&mut self) {
        let used = &self.0;
        used.idle_since.store(used.now(), Ordering::Relaxed);
        used.in_flight.fetch_sub(1, Ordering::Relaxed);
        if used.is_last.load(Ordering::Relaxed) {
            used.changed.notify_one();
        }
    }
}

/// A stream that tells when something is read.
struct Watched<S> {
    stream: S,
    used: Arc<Usage>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() && buffer.filled().len() > before {
            self.used.read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The router, for one connection.
struct Served {
    router: Router,
    used: Arc<Usage>,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.used.request();
        let answer = tower::Service::call(&mut self.router.clone(), request);
        Box::pin(async move {
            let mut response = answer.await?;
            let used = &in_flight.0;
            if !used.is_http2 && used.is_last.load(Ordering::Relaxed) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response)
        })
    }
}
