//! Policies about the repository itself.

pub(crate) mod ambiguous_scalar;
pub(crate) mod duplicate_object;
pub(crate) mod external_source;
pub(crate) mod pipeline_direct_apply;
pub(crate) mod unrendered;
pub(crate) mod waiver_expired;
pub(crate) mod waiver_unused;
pub(crate) mod waiver_without_reason;
