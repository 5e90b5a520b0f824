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
mod derived;
mod engine;
mod glob;
mod inventory;
mod mark;
mod object;
mod pointer;
mod policy;
mod quantity;
mod review;
mod selector;
mod settings;
mod stage;
mod update;
mod value;
mod waiver;
mod workload;

pub use cursor::{Cursor, list_item_key};
pub use derived::Derived;
pub use engine::{Engine, EngineError};
pub use glob::{GlobError, NameGlob, PathGlob};
pub use inventory::{Gap, Inventory};
pub use mark::{FileId, Location, Mark};
pub use object::{Namespace, Object, ObjectRef, Origin};
pub use pointer::Pointer;
pub use policy::{
    Ask, Context, Control, Enforcement, GroupKind, KindPattern, Matches, Meta, Parameters, Place,
    Policy, PolicyError, Related, Scope, Severity, Violation,
};
pub use quantity::{Quantity, QuantityError};
pub use review::{
    AMBIGUOUS_SCALAR, Door, EXTERNAL_SOURCE, Exhaustion, FileKind, FileNames, FileSubject, Finding,
    Limits, Observer, Operation, PolicyFailure, Reported, Review, Status, Subject, Turn,
    UNRENDERED, Verdict, WaivedBy, World,
};
pub use selector::{Labels, selects, selects_all, selects_keys};
pub use settings::{
    KubernetesVersion, PolicySettings, SeedSet, Settings, StageOverride, StageRule, StageRules,
};
pub use stage::{AnnotationWaivers, Stage, StageName, Tier};
pub use value::{Entry, MAX_DEPTH, Map, MapBuilder, Node, Number, Str, Value};
pub use waiver::{
    ObjectPattern, REASON_ANNOTATION, WAIVE_ANNOTATION, WAIVER_EXPIRED, WAIVER_UNUSED,
    WAIVER_WITHOUT_REASON, Waiver, waive_pointer,
};
pub use workload::{Container, ContainerKind, PodTemplate, WORKLOAD_KINDS, group_of, pod_template};
