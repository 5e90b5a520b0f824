//! # What it checks
//!
//! No object stands twice in a stage: equal group, kind, namespace and name, whatever the version.
//! The object that comes later in the order of files is told, with the place of the first.
//!
//! Objects that name no namespace are equal only within one render root: what is deployed there may
//! go into another namespace than what is deployed from elsewhere.
//!
//! # Why
//!
//! The one that is applied last wins, and Argo CD applies them in turns: the object never comes to
//! rest, and which of the two is true depends on the time.
//!
//! # Parameters
//!
//! None.
//!
//! # How to fix
//!
//! Remove one of the two, or give it another name.
//!
//! # Controls
//!
//! None.

use std::borrow::Cow;

use stagegate_core::{
    Context, Cursor, Enforcement, Meta, Pointer, Policy, PolicyError, Scope, Severity, Violation,
};

struct DuplicateObject(Meta);

pub(crate) fn policy() -> impl Policy {
    DuplicateObject(Meta {
        severity: Severity::High,
        enforcement: Enforcement::Deny,
        scope: Scope::Stage,
        // In a cluster an object is there once.
        offline: true,
        help: Cow::Borrowed("remove one of the two, or give it another name"),
        ..Meta::native(
            "duplicate-object",
            "gitops",
            "No object stands twice in a stage",
            include_str!("duplicate_object.rs"),
        )
    })
}

impl Policy for DuplicateObject {
    fn meta(&self) -> &Meta {
        &self.0
    }

    fn review(&self, cx: &Context<'_>) -> Result<Vec<Violation>, PolicyError> {
        let (Some(object), Some(inventory)) = (cx.object(), cx.world.inventory) else {
            return Ok(Vec::new());
        };
        let first = inventory.same_as(object).next();
        Ok(match first.map(AsRef::as_ref) {
            Some(first) if !std::ptr::eq(first, object) => {
                let root = Cursor::root(&object.node);
                let metadata = root.member("metadata");
                let name = Pointer::root().join("metadata").join("name");
                let message = format!("this {} stands twice in the stage", object.reference.kind);
                let violation = Violation::at(&metadata.member("name"), message);
                vec![violation.related_to(first, &name, "the first stands here".to_owned())]
            }
            _ => Vec::new(),
        })
    }
}
