//! # What it checks
//!
//! Every waiver of the configuration waives at least one finding. Told in full runs only: with
//! `--stage` or `--policy` most waivers have nothing to do.
//!
//! Every id in an object's annotation `stagegate.dev/waive` is that of a policy, may be waived by
//! annotation in the stage (`annotationWaivers`), and waives something.
//!
//! # Why
//!
//! A waiver outlives what it was for. The next mistake of the same kind then passes unseen, and
//! nobody remembers having agreed to it. An annotation that is not honoured misleads its reader.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! Remove the waiver, or correct the name, namespace or path that it gives.
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{Matches, Meta, Policy, Scope, Severity, WAIVER_UNUSED};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Low,
        scope: Scope::File,
        matches: Matches::None,
        help: Cow::Borrowed("remove the waiver, or correct what it names"),
        ..Meta::native(
            WAIVER_UNUSED,
            "gitops",
            "Every waiver waives something",
            include_str!("waiver_unused.rs"),
        )
    })
}
