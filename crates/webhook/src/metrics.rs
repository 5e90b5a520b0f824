//! What is counted. Names begin with `stagegate_`, times are in seconds, and nothing carries the name
//! or the namespace of an object.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A tenth of a millisecond to the longest time that an API server waits.
const BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// As many kinds as a large cluster has. Who asks chooses them, and may choose more.
const MOST_KINDS: usize = 500;

type Histograms = Family<PolicyLabels, Histogram, fn() -> Histogram>;

/// Which requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) operation: String,
    pub(crate) kind: String,
    pub(crate) stage: String,
    pub(crate) decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    policy: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DigestLabels {
    digest: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    kinds: Mutex<BTreeSet<String>>,
    requests: Family<RequestLabels, Counter>,
    dry_runs: Family<DecisionLabels, Counter>,
    request_duration: Histogram,
    policies: Family<OutcomeLabels, Counter>,
    policy_duration: Histograms,
    refused: Family<ReasonLabels, Counter>,
    shed: Family<ReasonLabels, Counter>,
    /// Requests that are being answered.
    pub(crate) in_flight: Gauge,
    /// Requests that wait for a thread.
    pub(crate) queued: Gauge,
    /// Bytes of bodies that are read or judged.
    pub(crate) body_bytes: Gauge,
    /// Requests whose time ran out before everything was judged.
    pub(crate) deadline_misses: Counter,
    /// Requests that nobody waited for any more.
    pub(crate) aborted: Counter,
    /// Requests in namespaces that no stage names.
    pub(crate) unnamed_stage: Counter,
    /// Operations that are not known.
    pub(crate) unknown_operations: Counter,
    /// Connections that are open.
    pub(crate) connections: Gauge,
    connection_errors: Family<ReasonLabels, Counter>,
    certificate_expiry: Gauge,
    certificate_reloads: Family<ResultLabels, Counter>,
    policy_reloads: Family<ResultLabels, Counter>,
    policy_set: Family<DigestLabels, Gauge>,
    policy_generation: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        fn histogram() -> Histogram {
            Histogram::new(BUCKETS)
        }
        let mut registry = Registry::with_prefix("stagegate");
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let info = Family::<VersionLabels, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        info.get_or_create(&VersionLabels { version }).set(1);
        registry.register("build_info", "The version that runs", info);
        Metrics {
            kinds: Mutex::default(),
            requests: register!(
                "admission_requests",
                "Requests that were decided, without dry runs",
                Family::default()
            ),
            dry_runs: register!(
                "admission_dry_run_requests",
                "Requests that were decided and would have stored nothing",
                Family::default()
            ),
            request_duration: register!(
                "admission_request_duration_seconds",
                "From the head of a request to its answer",
                histogram()
            ),
            policies: register!(
                "policy_evaluations",
                "What became of policies, without dry runs",
                Family::default()
            ),
            policy_duration: register!(
                "policy_duration_seconds",
                "How long a policy took",
                Family::new_with_constructor(histogram as fn() -> Histogram)
            ),
            refused: register!(
                "admission_refused_requests",
                "Requests that were not decided, by reason",
                Family::default()
            ),
            shed: register!(
                "admission_shed_requests",
                "Requests that there was no room for, by what there was too much of",
                Family::default()
            ),
            in_flight: register!(
                "admission_requests_in_flight",
                "Requests that are being answered",
                Gauge::default()
            ),
            queued: register!(
                "admission_requests_queued",
                "Requests that wait for a thread",
                Gauge::default()
            ),
            body_bytes: register!(
                "admission_body_bytes_in_flight",
                "Bytes of bodies that are read or judged",
                Gauge::default()
            ),
            deadline_misses: register!(
                "admission_deadline_misses",
                "Requests whose time ran out before everything was judged",
                Counter::default()
            ),
            aborted: register!(
                "admission_aborted_requests",
                "Requests that nobody waited for any more",
                Counter::default()
            ),
            unnamed_stage: register!(
                "admission_unnamed_stage_requests",
                "Requests in namespaces that no stage names",
                Counter::default()
            ),
            unknown_operations: register!(
                "admission_unknown_operation_requests",
                "Requests with an operation that is not known, which are allowed",
                Counter::default()
            ),
            connections: register!("connections", "Connections that are open", Gauge::default()),
            connection_errors: register!(
                "connection_errors",
                "Connections that were not served to their end, by reason",
                Family::default()
            ),
            certificate_expiry: register!(
                "certificate_expiry_timestamp_seconds",
                "When the certificate that is served expires, as a Unix time",
                Gauge::default()
            ),
            certificate_reloads: register!(
                "certificate_reloads",
                "Changes of the certificate's files, by whether they could be served",
                Family::default()
            ),
            policy_reloads: register!(
                "policy_reloads",
                "Changes of the configuration's and the policies' files, by whether they could be used",
                Family::default()
            ),
            policy_set: register!(
                "policy_set_info",
                "The digest of the policies and their configuration that judge",
                Family::default()
            ),
            policy_generation: register!(
                "policy_generation",
                "How many sets of policies there have been",
                Gauge::default()
            ),
            registry,
        }
    }

    /// All of it, in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A request was decided.
    pub(crate) fn decided(&self, labels: &RequestLabels, is_dry_run: bool, took: Duration) {
        let decision = labels.decision;
        if is_dry_run {
            self.dry_runs
                .get_or_create(&DecisionLabels { decision })
                .inc();
        } else if self.is_counted(&labels.kind) {
            self.requests.get_or_create(labels).inc();
        } else {
            let other = RequestLabels {
                kind: "other".to_owned(),
                ..labels.clone()
            };
            self.requests.get_or_create(&other).inc();
        }
        self.request_duration.observe(took.as_secs_f64());
    }

    fn is_counted(&self, kind: &str) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.contains(kind) {
            return true;
        }
        kinds.len() < MOST_KINDS && kinds.insert(kind.to_owned())
    }

    /// A policy took this long.
    pub(crate) fn policy_took(&self, policy: &str, took: Duration) {
        let labels = PolicyLabels {
            policy: policy.to_owned(),
        };
        let histogram = self.policy_duration.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// What became of a policy: `pass`, `deny`, `warn`, `audit`, `waived`, `error`, `timeout` or
    /// `overload`.
    pub(crate) fn policy_ended(&self, policy: &str, outcome: &'static str) {
        let labels = OutcomeLabels {
            policy: policy.to_owned(),
            outcome,
        };
        self.policies.get_or_create(&labels).inc();
    }

    /// A request was not decided.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// There was no room for a request.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A connection was not served to its end.
    pub(crate) fn connection_failed(&self, reason: &'static str) {
        self.connection_errors
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// A certificate is served from now on.
    pub(crate) fn certificate(&self, expires: jiff::Timestamp) {
        self.certificate_expiry.set(expires.as_second());
    }

    /// The files of the certificate changed.
    pub(crate) fn certificate_reloaded(&self, is_served: bool) {
        let result = in_words(is_served);
        self.certificate_reloads
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// A set of policies judges from now on, the first or another.
    pub(crate) fn policy_set(&self, digest: &str) {
        self.policy_set.clear();
        let labels = DigestLabels {
            digest: digest.to_owned(),
        };
        self.policy_set.get_or_create(&labels).set(1);
        self.policy_generation.inc();
    }

    /// The files of the configuration or of policies changed.
    pub(crate) fn policies_reloaded(&self, are_used: bool) {
        let result = in_words(are_used);
        self.policy_reloads
            .get_or_create(&ResultLabels { result })
            .inc();
    }
}

fn in_words(success: bool) -> &'static str {
    if success { "success" } else { "failure" }
}
