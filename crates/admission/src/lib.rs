//! AdmissionReview JSON to subjects, and verdicts to AdmissionReview JSON. Synchronous, no server.
//!
//! Source: "Dynamic Admission Control" in the Kubernetes documentation, and requests recorded from
//! an API server.

mod judge;
mod request;
mod response;
mod stage;
#[cfg(test)]
mod tests;

pub use judge::{Bound, Judgement, judge};
pub use request::{AdmissionRequest, DecodeError};
pub use response::respond;
pub use stage::RequestStage;
