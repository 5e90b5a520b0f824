//! The model and the engine of Stagegate.
//!
//! ```text
//! Subject + World + Limits ──> Engine::review ──> Verdict
//! ```
//!
//! Everything that decides a verdict is here and pure: no files, no clock, no environment, no
//! threads, no output. The two doors (the linter and the admission webhook) bring a [`Subject`],
//! the [`World`] around it and the [`Limits`] of the review, and get the same [`Verdict`] for the
//! same input.

mod cursor;
mod engine;
mod inventory;
mod mark;
mod object;
mod pointer;
mod policy;
mod quantity;
mod settings;
mod stage;
mod value;
mod workload;

pub use cursor::{Cursor, list_item_key};
pub use engine::{
    Engine, EngineError, Finding, Limits, Operation, Reported, Review, Status, Subject, Verdict,
    World,
};
pub use inventory::Inventory;
pub use mark::{FileId, Location, Mark};
pub use object::{Object, ObjectRef, Origin};
pub use pointer::Pointer;
pub use policy::{
    Context, Control, Enforcement, GroupKind, Matches, Meta, Parameter, ParameterKind, Policy,
    PolicyError, Related, Scope, Severity, Violation,
};
pub use quantity::{Quantity, QuantityError};
pub use settings::{KubernetesVersion, PolicySettings, Settings, StageOverride};
pub use stage::{Stage, StageName, Tier};
pub use value::{Entry, MAX_DEPTH, Map, MapBuilder, Node, Number, Str, Value};
pub use workload::{Container, ContainerKind, PodTemplate, WORKLOAD_KINDS, group_of, pod_template};
