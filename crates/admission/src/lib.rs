//! AdmissionReview JSON to subjects, and verdicts to AdmissionReview JSON. Synchronous, no server.
//!
//! Source: "Dynamic Admission Control" in the Kubernetes documentation, and requests recorded from
//! an API server.

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{AdmissionRequest, DecodeError};
pub use response::respond;
