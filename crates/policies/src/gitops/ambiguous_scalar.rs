//! # What it checks
//!
//! No value of a manifest is read differently by `kubectl apply` (and Argo CD's plain folders) and by
//! kustomize (and Flux): unquoted words of YAML 1.1 such as `yes`, `no`, `on`, `off`, `y` and `n`,
//! which the first take for true or false and the others for text; and merge keys (`<<`) whose
//! place beside an explicit key decides for the first and not for the others.
//!
//! # Why
//!
//! The same file deploys something else once it moves into a kustomization, or out of one. Known
//! victims are the mode `Off` of a VerticalPodAutoscaler and the country code `NO`.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! ```yaml
//! updateMode: "Off"
//! ```
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{AMBIGUOUS_SCALAR, Matches, Meta, Policy, Scope, Severity};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Medium,
        scope: Scope::File,
        matches: Matches::None,
        help: Cow::Borrowed("put the value in quotes if it is text, or write true or false"),
        ..Meta::native(
            AMBIGUOUS_SCALAR,
            "gitops",
            "Every value means the same to kubectl and kustomize",
            include_str!("ambiguous_scalar.rs"),
        )
    })
}
