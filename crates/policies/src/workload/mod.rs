//! Policies about workloads.

pub(crate) mod resource_limits;
pub(crate) mod resource_requests;
