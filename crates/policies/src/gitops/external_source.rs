//! # What it checks
//!
//! What the repository deploys stands in it. A remote chart, another repository, a remote resource
//! of a kustomization, or a generator that needs the network is named and counted: what comes from
//! there is deployed and was not judged. The exit code is not affected.
//!
//! # Why
//!
//! A report without findings says nothing about what was never looked at. Whoever reads it must
//! see where it ends.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! Vendor the chart or the manifests into the repository. URLs under which this very repository
//! is known are listed in `selfUrls` of the configuration.
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{EXTERNAL_SOURCE, Matches, Meta, Policy, Scope, Severity};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Low,
        scope: Scope::File,
        matches: Matches::None,
        help: Cow::Borrowed("vendor the source into the repository to have it judged"),
        ..Meta::native(
            EXTERNAL_SOURCE,
            "gitops",
            "Everything that is deployed stands in the repository",
            include_str!("external_source.rs"),
        )
    })
}
