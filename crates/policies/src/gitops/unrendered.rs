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
//! it says which one to install.
//!
//! # Controls
//!
//! None: without it no other control is worth anything.

use std::borrow::Cow;

use stagegate_core::{
    Context, Enforcement, Matches, Meta, Policy, PolicyError, Scope, Severity, Subject, Violation,
};

/// The policy's id.
pub const ID: &str = "unrendered";

struct Unrendered(Meta);

pub(crate) fn policy() -> impl Policy {
    Unrendered(Meta {
        id: Cow::Borrowed(ID),
        title: Cow::Borrowed("Everything that should be judged can be read and rendered"),
        category: Cow::Borrowed("gitops"),
        severity: Severity::Critical,
        enforcement: Enforcement::Deny,
        production: None,
        scope: Scope::File,
        matches: Matches::None,
        parameters: Cow::Borrowed(&[]),
        help: Cow::Borrowed("mend the source, or install what renders it"),
        manual: Cow::Owned(Meta::manual_of_source(include_str!("unrendered.rs"))),
        controls: Cow::Borrowed(&[]),
        always: true,
    })
}

impl Policy for Unrendered {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        Ok(match cx.subject {
            Subject::Reported(reported) => vec![reported.violation.clone()],
            Subject::Review(_) => Vec::new(),
        })
    }
}
