//! `POST /validate`: an AdmissionReview to its answer, in time.
//!
//! A request's time is divided. Until four fifths of it have passed, it may wait for a thread and be
//! judged there. Then it is stopped: what waits still is answered as overload, what is being judged ends
//! before its next policy. A policy that does not come back by nine tenths is left behind with its
//! thread, and the request is answered by another thread with what the other policies said already.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use stagegate_admission::{AdmissionRequest, DecodeError, judge, respond};
use stagegate_core::{
    Enforcement, Limits, Meta, Observer, Operation, PolicyError, Status, Turn, Verdict, Violation,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::metrics::{Metrics, RequestLabels};
use crate::options::{BodyLimits, duration};
use crate::policies::{PolicySet, SharedSet};
use crate::pool::Pool;

/// Bytes that a permit of the budget for bodies stands for.
const PERMIT: usize = 1024;
/// How much of a body that is too large is read, so that its sender hears why it is refused.
const DISCARDED: usize = 64 << 20;

/// What requests are answered with.
pub(crate) struct Validator {
    pub(crate) policies: SharedSet,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) judging: Pool,
    /// Answers what cannot be judged: quick, and never behind what is.
    pub(crate) refusing: Pool,
    pub(crate) timeout: Duration,
    pub(crate) bodies: BodyLimits,
    budget: Arc<Semaphore>,
}

/// The time of one request.
#[derive(Clone, Copy)]
struct Deadline {
    began: Instant,
    /// Nothing begins any more.
    stop: Instant,
    /// What has not ended is left behind.
    rescue: Instant,
    /// The answer is on its way.
    answer: Instant,
}

impl Deadline {
    /// `asked` is what the API server says that it waits, rounded up to a second.
    fn new(began: Instant, configured: Duration, asked: Option<Duration>) -> Deadline {
        let whole = asked.map_or(configured, |asked| asked.min(configured));
        let margin = (whole / 5).min(Duration::from_millis(500));
        let own = whole - margin;
        Deadline {
            began,
            stop: began + own * 4 / 5,
            rescue: began + own * 9 / 10,
            answer: began + own,
        }
    }

    fn until_stop(&self) -> Duration {
        self.stop.saturating_duration_since(Instant::now())
    }
}

/// What a request is answered.
enum Answer {
    Decided(Decided),
    Undecodable(DecodeError),
}

struct Decided {
    body: Vec<u8>,
    labels: RequestLabels,
    is_dry_run: bool,
    stage_is_named: bool,
    is_known: bool,
    was_in_time: bool,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const REFUSED: u8 = 2;

/// One request, shared by who waits for its answer and who judges it.
struct Job {
    body: Bytes,
    set: Arc<PolicySet>,
    metrics: Arc<Metrics>,
    phase: AtomicU8,
    stop: AtomicBool,
    decoded: OnceLock<Result<AdmissionRequest, DecodeError>>,
    progress: Progress,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    _budget: OwnedSemaphorePermit,
}

impl Validator {
    pub(crate) fn new(
        policies: SharedSet,
        metrics: Arc<Metrics>,
        judging: Pool,
        refusing: Pool,
        timeout: Duration,
        bodies: BodyLimits,
    ) -> Validator {
        let permits = bodies.in_flight.max(bodies.most).div_ceil(PERMIT);
        Validator {
            policies,
            metrics,
            judging,
            refusing,
            timeout,
            bodies,
            budget: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let asked = match asked_timeout(request.uri().query()) {
            Ok(asked) => asked,
            Err(text) => return self.refuse(StatusCode::BAD_REQUEST, "timeout", text),
        };
        let deadline = Deadline::new(began, self.timeout, asked);
        let (body, budget) = match self.body(request.into_body(), &deadline).await {
            Ok(read) => read,
            Err(response) => return response,
        };
        self.metrics
            .body_bytes
            .inc_by(i64::try_from(body.len()).unwrap_or(i64::MAX));
        let (sender, receiver) = oneshot::channel();
        let job = Arc::new(Job {
            body,
            set: self.policies.load_full(),
            metrics: Arc::clone(&self.metrics),
            phase: AtomicU8::new(WAITING),
            stop: AtomicBool::new(false),
            decoded: OnceLock::new(),
            progress: Progress::default(),
            answer: Mutex::new(Some(sender)),
            _budget: budget,
        });
        let mut waiting = Waiting {
            job: Arc::clone(&job),
            is_over: false,
        };
        let answer = self.decide(&job, &deadline, receiver).await;
        waiting.is_over = true;
        match answer {
            Some(Answer::Decided(decided)) => {
                self.count(&decided, began.elapsed());
                json(decided.body)
            }
            Some(Answer::Undecodable(error)) => {
                self.refuse(StatusCode::BAD_REQUEST, "undecodable", error.to_string())
            }
            None => {
                self.metrics.deadline_misses.inc();
                let text = "the time for this request ran out before anything was decided";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                self.refuse(status, "no_answer", text.to_owned())
            }
        }
    }

    /// Lets a request be judged, and what cannot be judged in time be answered otherwise. Nothing, if
    /// even that takes too long.
    async fn decide(
        &self,
        job: &Arc<Job>,
        deadline: &Deadline,
        mut answer: oneshot::Receiver<Answer>,
    ) -> Option<Answer> {
        let own = Arc::clone(job);
        if self
            .judging
            .submit(deadline.until_stop(), move || own.judge())
            .is_err()
        {
            self.overloaded(job, deadline);
        }
        let until = |instant: Instant| tokio::time::sleep_until(instant.into());
        tokio::select! {
            answer = &mut answer => return answer.ok(),
            () = until(deadline.stop) => {}
        }
        job.stop.store(true, Ordering::Relaxed);
        if job.take(REFUSED) {
            self.overloaded(job, deadline);
        } else {
            tokio::select! {
                answer = &mut answer => return answer.ok(),
                () = until(deadline.rescue) => {}
            }
            let own = Arc::clone(job);
            let left = deadline.answer.saturating_duration_since(Instant::now());
            // Where there is no time for that either, the API server decides by its failurePolicy.
            let _ = self.refusing.submit(left, move || own.rescue());
        }
        tokio::select! {
            answer = &mut answer => answer.ok(),
            () = until(deadline.answer) => None,
        }
    }

    /// Answers with what each policy wants where there is too much to judge.
    fn overloaded(&self, job: &Arc<Job>, deadline: &Deadline) {
        job.take(REFUSED);
        self.metrics.shed("judging");
        let own = Arc::clone(job);
        let left = deadline.answer.saturating_duration_since(Instant::now());
        let _ = self.refusing.submit(left, move || own.refuse());
    }

    fn count(&self, decided: &Decided, took: Duration) {
        let metrics = &self.metrics;
        metrics.decided(&decided.labels, decided.is_dry_run, took);
        if !decided.stage_is_named {
            metrics.unnamed_stage.inc();
        }
        if !decided.is_known {
            metrics.unknown_operations.inc();
        }
        if !decided.was_in_time {
            metrics.deadline_misses.inc();
        }
    }

    /// Reads a body, within the limits and the budget of all bodies.
    async fn body(
        &self,
        body: Body,
        deadline: &Deadline,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Response<Body>> {
        let most = self.bodies.most;
        let end = (deadline.began + self.bodies.time).min(deadline.answer);
        let told = hyper::body::Body::size_hint(&body).exact();
        let told = told.and_then(|told| usize::try_from(told).ok());
        let expected = told.unwrap_or(most);
        let mut reader = Reader {
            body,
            read: BytesMut::new(),
        };
        let reading = async {
            if expected > most {
                reader.discard(expected).await;
                return Err(self.too_large());
            }
            let permits = u32::try_from(expected.div_ceil(PERMIT)).unwrap_or(u32::MAX);
            let budget = Arc::clone(&self.budget).acquire_many_owned(permits);
            let stop = deadline.stop.min(end);
            let Ok(Ok(budget)) = tokio::time::timeout_at(stop.into(), budget).await else {
                self.metrics.shed("bytes");
                let text = "there are too many bytes in flight".to_owned();
                return Err(self.refuse(StatusCode::SERVICE_UNAVAILABLE, "bytes", text));
            };
            reader.read.reserve(told.unwrap_or(0));
            match reader.up_to(most).await {
                Ok(true) => Ok(budget),
                Ok(false) => {
                    reader.discard(DISCARDED).await;
                    Err(self.too_large())
                }
                Err(error) => {
                    tracing::debug!(%error, "the body broke off");
                    let text = "the body broke off".to_owned();
                    Err(self.refuse(StatusCode::BAD_REQUEST, "body", text))
                }
            }
        };
        match tokio::time::timeout_at(end.into(), reading).await {
            Ok(budget) => Ok((reader.read.freeze(), budget?)),
            Err(_) if expected > most => Err(self.too_large()),
            Err(_) => {
                let text = format!("the body took longer than {:?}", self.bodies.time);
                Err(self.refuse(StatusCode::REQUEST_TIMEOUT, "body_timeout", text))
            }
        }
    }

    fn too_large(&self) -> Response<Body> {
        let most = self.bodies.most;
        let text = format!("the body is larger than {most} bytes");
        self.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    }

    /// An answer that decides nothing.
    fn refuse(&self, status: StatusCode, reason: &'static str, text: String) -> Response<Body> {
        self.metrics.refused(reason);
        tracing::warn!(status = status.as_u16(), reason, "refused a request");
        let mut response = Response::new(Body::from(text + "\n"));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}

/// The handler of the router.
pub(crate) async fn validate(
    State(validator): State<Arc<Validator>>,
    request: Request<Body>,
) -> Response<Body> {
    let _in_flight = InFlight::of(&validator.metrics);
    validator.answer(request).await
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// What `?timeout=` says.
fn asked_timeout(query: Option<&str>) -> Result<Option<Duration>, String> {
    let mut pairs = query.into_iter().flat_map(|query| query.split('&'));
    let Some(text) = pairs.find_map(|pair| pair.strip_prefix("timeout=")) else {
        return Ok(None);
    };
    match duration(text).filter(|d| !d.is_zero()) {
        Some(duration) => Ok(Some(duration)),
        None => Err("timeout is no duration such as 10s".to_owned()),
    }
}

/// A body that is being read.
struct Reader {
    body: Body,
    read: BytesMut,
}

impl Reader {
    /// Reads to the end. Gives whether the end came within so many bytes.
    async fn up_to(&mut self, most: usize) -> Result<bool, axum::Error> {
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if self.read.len() + data.len() > most {
                return Ok(false);
            }
            self.read.extend_from_slice(&data);
        }
        Ok(true)
    }

    /// Reads so many bytes and forgets them.
    async fn discard(&mut self, most: usize) {
        let mut left = most.min(DISCARDED);
        while let Some(Ok(frame)) = self.body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            if read > left {
                return;
            }
            left -= read;
        }
    }
}

/// Counts a request while it lives.
struct InFlight<'m>(&'m Metrics);

impl<'m> InFlight<'m> {
    fn of(metrics: &'m Metrics) -> Self {
        metrics.in_flight.inc();
        InFlight(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Who waits for an answer. If nobody does any more, the work stops at its next policy.
struct Waiting {
    job: Arc<Job>,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            self.job.stop.store(true, Ordering::Relaxed);
            self.job.take(REFUSED);
            self.job.metrics.aborted.inc();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let bytes = i64::try_from(self.body.len()).unwrap_or(i64::MAX);
        self.metrics.body_bytes.dec_by(bytes);
    }
}

impl Job {
    /// Whether this is who decides what becomes of what waits.
    fn take(&self, phase: u8) -> bool {
        self.phase
            .compare_exchange(WAITING, phase, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Judges, on a thread of the pool for that.
    fn judge(&self) {
        if self.take(BEGUN) {
            let recording = Recording(&self.progress);
            self.decide(&Limits {
                stop: Some(&self.stop),
                observer: Some(&recording),
                ..Limits::default()
            });
            self.progress.measure(&self.metrics);
        }
    }

    /// Answers what nobody can judge in time.
    fn refuse(&self) {
        self.decide(&Limits {
            overloaded: true,
            ..Limits::default()
        });
    }

    /// Answers what another thread is still judging, without what it waits for.
    fn rescue(&self) {
        if self.decoded.get().is_some() {
            let recalling = Recalling(&self.progress);
            self.decide(&Limits {
                stop: Some(&self.stop),
                observer: Some(&recalling),
                ..Limits::default()
            });
        }
    }

    fn decide(&self, limits: &Limits<'_>) {
        let decoded = self
            .decoded
            .get_or_init(|| AdmissionRequest::decode(&self.body));
        let request = match decoded {
            Ok(request) => request,
            Err(error) => {
                if let Some(waits) = self.who_waits() {
                    let _ = waits.send(Answer::Undecodable(error.clone()));
                }
                return;
            }
        };
        let set = &self.set;
        let limits = Limits {
            today: Some(Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()),
            ..*limits
        };
        let judgement = judge(&set.engine, request, set.stage.as_ref(), None, &limits);
        // Another thread may have answered meanwhile.
        let Some(waits) = self.who_waits() else {
            return;
        };
        let verdict = &judgement.verdict;
        let answer = respond(request, &judgement, &set.digest);
        let decision = match (verdict.allowed, answer["response"].get("warnings")) {
            (false, _) => "deny",
            (true, Some(_)) => "warn",
            (true, None) => "allow",
        };
        if !request.dry_run {
            for (policy, outcome) in outcomes(verdict, &self.progress) {
                self.metrics.policy_ended(&policy, outcome);
            }
        }
        let object = request.object.as_ref().or(request.old_object.as_ref());
        let labels = RequestLabels {
            operation: request.operation.to_string(),
            kind: object.map_or_else(String::new, |object| object.reference.kind.clone()),
            stage: judgement.stage.stage.name.clone(),
            decision,
        };
        tell(request, &labels, verdict);
        let ran_out = |error: &PolicyError| *error == PolicyError::Stopped;
        let decided = Decided {
            body: serde_json::to_vec(&answer).unwrap_or_default(),
            labels,
            is_dry_run: request.dry_run,
            stage_is_named: judgement.stage.is_named,
            is_known: request.operation != Operation::Other,
            was_in_time: !verdict.errors.iter().any(|e| ran_out(&e.error)),
        };
        // Whoever waited may have gone.
        let _ = waits.send(Answer::Decided(decided));
    }

    /// Who waits for the answer, once.
    fn who_waits(&self) -> Option<oneshot::Sender<Answer>> {
        self.answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Says what was decided. Names objects and policies, and repeats nothing that an object holds.
fn tell(request: &AdmissionRequest, labels: &RequestLabels, verdict: &Verdict) {
    let span = tracing::info_span!(
        "admission",
        uid = request.uid,
        operation = labels.operation,
        kind = labels.kind,
        namespace = request.namespace,
        name = request.name,
        stage = labels.stage,
        dry_run = request.dry_run
    );
    let _entered = span.enter();
    for error in &verdict.errors {
        let why = failure(&error.error);
        tracing::warn!(policy = %error.meta.id, why, "a policy could not judge");
    }
    if verdict.allowed {
        tracing::debug!(decision = labels.decision, "decided");
        return;
    }
    let mut policies: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|finding| finding.denies())
        .map(|finding| &*finding.meta.id)
        .collect();
    policies.dedup();
    let policies = policies.join(", ");
    tracing::info!(decision = labels.decision, policies, "decided");
}

fn failure(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Stopped => "timeout",
        PolicyError::Overloaded => "overload",
        PolicyError::Panicked(_) | PolicyError::Failed(_) | PolicyError::Exhausted(_) => "error",
    }
}

/// What became of each policy that judged or should have.
fn outcomes(verdict: &Verdict, progress: &Progress) -> Vec<(String, &'static str)> {
    let failed = verdict
        .errors
        .iter()
        .map(|e| (e.meta.id.to_string(), failure(&e.error)));
    let answers = progress.answers();
    let judged = answers
        .iter()
        .filter(|a| a.turn == Turn::Subject && a.violations.is_some());
    let judged = judged.map(|a| {
        let own = || verdict.findings.iter().filter(|f| f.meta.id == a.policy.id);
        let strongest = own()
            .filter(|f| f.status == Status::Active)
            .map(|f| f.enforcement)
            .max();
        let outcome = match strongest {
            Some(Enforcement::Deny) => "deny",
            Some(Enforcement::Warn) => "warn",
            Some(Enforcement::Audit) => "audit",
            Some(Enforcement::Off) | None if own().next().is_some() => "waived",
            Some(Enforcement::Off) | None => "pass",
        };
        (a.policy.id.to_string(), outcome)
    });
    judged.chain(failed).collect()
}

/// How far the judging of a request is.
#[derive(Default)]
struct Progress(Mutex<Vec<PolicyAnswer>>);

struct PolicyAnswer {
    policy: Arc<Meta>,
    turn: Turn,
    began: Instant,
    took: Option<Duration>,
    /// None where it has not ended or could not judge.
    violations: Option<Vec<Violation>>,
}

impl Progress {
    fn answers(&self) -> std::sync::MutexGuard<'_, Vec<PolicyAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, metrics: &Metrics) {
        for answer in self.answers().iter() {
            if let Some(took) = answer.took {
                metrics.policy_took(&answer.policy.id, took);
            }
        }
    }
}

/// Keeps what policies answer.
struct Recording<'p>(&'p Progress);

impl Observer for Recording<'_> {
    fn begins(&self, policy: &Arc<Meta>, turn: Turn) {
        self.0.answers().push(PolicyAnswer {
            policy: Arc::clone(policy),
            turn,
            began: Instant::now(),
            took: None,
            violations: None,
        });
    }

    fn ended(&self, _: &Arc<Meta>, _: Turn, answer: &Result<Vec<Violation>, PolicyError>) {
        let mut answers = self.0.answers();
        if let Some(last) = answers.last_mut() {
            last.took = Some(last.began.elapsed());
            last.violations = answer.as_ref().ok().cloned();
        }
    }
}

/// Gives what policies answered.
struct Recalling<'p>(&'p Progress);

impl Observer for Recalling<'_> {
    fn begins(&self, _: &Arc<Meta>, _: Turn) {}

    fn ended(&self, _: &Arc<Meta>, _: Turn, _: &Result<Vec<Violation>, PolicyError>) {}

    fn known(&self, policy: &Meta, turn: Turn) -> Option<Vec<Violation>> {
        let answers = self.0.answers();
        let mut own = answers
            .iter()
            .filter(|a| a.turn == turn && a.policy.id == policy.id);
        own.find_map(|a| a.violations.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_shorter_time_counts_and_leaves_a_margin() {
        let began = Instant::now();
        let whole = |asked| {
            let deadline = Deadline::new(began, Duration::from_secs(10), asked);
            assert!(began < deadline.stop && deadline.stop < deadline.rescue);
            assert!(deadline.rescue < deadline.answer);
            deadline.answer - began
        };
        assert_eq!(whole(None), Duration::from_millis(9500));
        assert_eq!(
            whole(Some(Duration::from_secs(1))),
            Duration::from_millis(800)
        );
        assert_eq!(
            whole(Some(Duration::from_secs(30))),
            Duration::from_millis(9500)
        );
    }

    #[test]
    fn timeouts_are_read_as_go_writes_them() {
        let read = |query| asked_timeout(Some(query)).ok().flatten();
        for (query, seconds) in [
            ("timeout=10s", 10.0),
            ("a=b&timeout=1m30s", 90.0),
            ("timeout=500ms", 0.5),
            ("timeout=1.5s", 1.5),
            ("timeout=1m0s", 60.0),
        ] {
            assert_eq!(
                read(query),
                Some(Duration::from_secs_f64(seconds)),
                "{query}"
            );
        }
        assert_eq!(asked_timeout(None), Ok(None));
        assert_eq!(asked_timeout(Some("dryRun=All")), Ok(None));
        for query in ["timeout=", "timeout=ten", "timeout=-1s", "timeout=0s"] {
            assert!(asked_timeout(Some(query)).is_err(), "{query}");
        }
    }
}
