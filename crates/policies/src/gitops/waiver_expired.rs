//! # What it checks
//!
//! The date in a waiver's `expires` is today (UTC) or later. From the day after it on the waiver
//! waives nothing. `--today` sets another date.
//!
//! # Why
//!
//! An exception with a date is a promise. What it waived counts again once the date is over, and
//! this says why.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! Fix what was waived and remove the waiver, or agree on a new date.
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{Matches, Meta, Policy, Scope, Severity, WAIVER_EXPIRED};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Medium,
        scope: Scope::File,
        matches: Matches::None,
        help: Cow::Borrowed("fix what it waives and remove it, or agree on a new date"),
        ..Meta::native(
            WAIVER_EXPIRED,
            "gitops",
            "No waiver outlives its date",
            include_str!("waiver_expired.rs"),
        )
    })
}
