//! # What it checks
//!
//! Every local source that should have been judged was judged. A violation is a file that does
//! not parse, a kustomization that cannot be rendered, or a renderer that is missing. It stands
//! in the report's `errors`, and `stagegate lint` exits with 2.
//!
//! # Why
//!
//! The worst answer of a gate is green because nothing was looked at. What could not be judged
//! is never passed over in silence: neither `--policy` nor an empty set of policies switches
//! this off.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! The message names the file, the line and what is wrong with it. Where a program is missing,
//! it says which one to install. A path that is not meant to be judged is declared, with a reason:
//!
//! ```yaml
//! unrendered:
//!   - paths: [legacy/**]
//!     reason: deployed by hand until OPS-31
//! ```
//!
//! # Controls
//!
//! None: without it no other control is worth anything.

use std::borrow::Cow;

use stagegate_core::{Enforcement, Matches, Meta, Policy, Scope, Severity, UNRENDERED};

use crate::StandsFor;

pub(crate) fn policy() -> impl Policy {
    StandsFor(Meta {
        severity: Severity::Critical,
        enforcement: Enforcement::Deny,
        scope: Scope::File,
        matches: Matches::None,
        offline: true,
        help: Cow::Borrowed("mend the source, or install what renders it"),
        always: true,
        ..Meta::native(
            UNRENDERED,
            "gitops",
            "Everything that should be judged can be read and rendered",
            include_str!("unrendered.rs"),
        )
    })
}
