//! The offline door: the stages of a repository are rendered, every object is judged, and what is
//! found is told once, with the place where a person would edit.
//!
//! ```text
//! Layout ─render─> Stages ─review─> verdicts ─locate─> findings ─merge─> Report
//! ```

mod coverage;
mod locate;
mod merge;
mod render;
mod report;

use std::sync::Arc;

use rayon::prelude::*;
use stagegate_core::{
    Engine, Inventory, Limits, Mark, Object, Operation, Reported, Review, Stage, Subject, Verdict,
    Violation, World,
};
use stagegate_render::{Failure, Tree};

pub use coverage::{Coverage, CoverageEntry, CoverageStatus};
pub use render::{RenderedStage, Repository, render};
pub use report::{
    Counts, ErrorReport, FindingReport, NO_OBJECTS, ObjectReport, OriginReport, RelatedReport,
    Report, StageReport,
};

/// Told while work is done, from any thread.
pub type Progress<'a> = &'a (dyn Fn(Step) + Sync);

/// A piece of work that was done or is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many kustomizations will be rendered.
    ToRender(usize),
    /// One of them was.
    Rendered,
    /// So many objects will be judged.
    ToJudge(usize),
    /// One of them was.
    Judged,
}

/// Judges a rendered repository.
pub fn lint(
    engine: &Engine,
    repository: &Repository,
    tree: &Tree,
    limits: &Limits<'_>,
    progress: Progress<'_>,
) -> Report {
    progress(Step::ToJudge(
        repository.stages.iter().map(|s| s.objects.len()).sum(),
    ));
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for stage in &repository.stages {
        let mut neighbours = stage.objects.clone();
        if stage.stage.name != Stage::SHARED {
            neighbours.extend_from_slice(&repository.shared);
        }
        let inventory = Inventory::new(neighbours);
        let world = World {
            stage: &stage.stage,
            inventory: &inventory,
        };
        let judged: Vec<(&Arc<Object>, Verdict)> = stage
            .objects
            .par_iter()
            .map(|object| {
                let verdict = judge(engine, object, &world, limits);
                progress(Step::Judged);
                (object, verdict)
            })
            .filter(|(_, verdict)| !verdict.findings.is_empty() || !verdict.errors.is_empty())
            .collect();
        for (object, verdict) in judged {
            for finding in verdict.findings {
                found.push(locate::finding(tree, &stage.stage, object, finding));
            }
            for (meta, error) in verdict.errors {
                errors.push(ErrorReport::of_policy(tree, &meta.id, object, &error));
            }
        }
    }
    let inventory = Inventory::default();
    let stage = Stage::default_stage();
    let world = World {
        stage: &stage,
        inventory: &inventory,
    };
    errors.extend(
        repository
            .failures
            .iter()
            .flat_map(|f| report_failure(engine, f, tree, &world, limits)),
    );

    let objects: usize = repository.stages.iter().map(|s| s.objects.len()).sum();
    if objects == 0 && errors.is_empty() {
        errors.push(ErrorReport::nothing_to_judge());
    }
    let stages: Vec<&Stage> = repository.stages.iter().map(|s| &s.stage).collect();
    Report::new(repository, merge::merge(found, &stages), errors)
}

/// A request to create the object: what the API server will ask the webhook.
fn judge(engine: &Engine, object: &Object, world: &World<'_>, limits: &Limits<'_>) -> Verdict {
    let review = Review {
        operation: Operation::Create,
        object: Some(object),
        old_object: None,
        subresource: "",
        user: "",
        dry_run: false,
    };
    engine.review(&Subject::Review(review), world, limits)
}

/// What could not be judged goes through the engine like everything else.
fn report_failure(
    engine: &Engine,
    failure: &Failure,
    tree: &Tree,
    world: &World<'_>,
    limits: &Limits<'_>,
) -> Vec<ErrorReport> {
    let mut violation = Violation::of_file(failure.path.clone(), failure.message.clone());
    violation.help.clone_from(&failure.help);
    let reported = Reported {
        policy: UNRENDERED,
        violation,
    };
    let location = match failure.mark {
        Mark::NONE => None,
        mark => tree.sources().locate(mark),
    };
    engine
        .review(&Subject::Reported(reported), world, limits)
        .findings
        .into_iter()
        .map(|finding| ErrorReport::unrendered(failure, location.clone(), finding.violation))
        .collect()
}

/// The id of the policy that stands for what could not be judged, and the code of its errors.
pub const UNRENDERED: &str = "unrendered";
