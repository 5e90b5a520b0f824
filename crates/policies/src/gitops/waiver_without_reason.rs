//! # What it checks
//!
//! Every waiver of the configuration has a `reason`, and every annotation `stagegate.dev/waive` has
//! a `stagegate.dev/reason` beside it. A waiver without a reason waives nothing.
//!
//! # Why
//!
//! Whoever reads an exception later has to know what it was for, or can never remove it.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! ```yaml
//! waivers:
//!   - policies: [network-policy]
//!     objects: [{kind: Deployment, name: "grafana*"}]
//!     reason: upstream chart, tracked in OPS-12
//! ```
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{Matches, Meta, Policy, Scope, Severity, WAIVER_WITHOUT_REASON};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Medium,
        scope: Scope::File,
        matches: Matches::None,
        help: Cow::Borrowed("give the waiver a reason"),
        ..Meta::native(
            WAIVER_WITHOUT_REASON,
            "gitops",
            "Every waiver says why",
            include_str!("waiver_without_reason.rs"),
        )
    })
}
