//! Policies about the repository itself.

pub(crate) mod unrendered;
