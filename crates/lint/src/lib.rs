//! The offline door: the stages of a repository are rendered, every object is judged, and what is
//! found is told once, with the place where a person would edit.
//!
//! ```text
//! Layout ─render─> Stages ─review─> verdicts ─locate─> findings ─merge─> Report
//! ```

mod coverage;
mod external;
mod locate;
mod merge;
mod redact;
mod render;
mod report;
mod waivers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use stagegate_config::Config;
use stagegate_core::{
    AMBIGUOUS_SCALAR, Door, EXTERNAL_SOURCE, Engine, FileSubject, Inventory, Limits, Mark, Object,
    PolicyError, Reported, Review, Stage, Subject, UNRENDERED, Verdict, Violation, WAIVER_UNUSED,
    World,
};
use stagegate_render::{Failure, Tree};

pub use coverage::{Coverage, CoverageEntry, CoverageStatus};
pub use external::ExternalSource;
pub use redact::Redactions;
pub use render::{RenderedStage, Repository, render};
pub use report::{
    Counts, ErrorReport, FindingReport, NO_OBJECTS, ObjectReport, OriginReport, RelatedReport,
    Report, StageReport, WaiverReport,
};

use locate::Located;
use waivers::Accounts;

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
    config: &Config,
    limits: &Limits<'_>,
    progress: Progress<'_>,
) -> Report {
    progress(Step::ToJudge(
        repository.stages.iter().map(|s| s.objects.len()).sum(),
    ));
    let mut run = Run {
        engine,
        tree,
        limits,
        found: Vec::new(),
        errors: Vec::new(),
        accounts: Accounts::default(),
        exhausted: BTreeMap::new(),
    };
    for stage in &repository.stages {
        let inventory = inventory(stage, repository, config);
        let world = run.world(&stage.stage, Some(&inventory));
        let judged: Vec<(&Arc<Object>, Verdict)> = stage
            .objects
            .par_iter()
            .map(|object| {
                let subject = Subject::Review(Review::create(object));
                let verdict = engine.review(&subject, &world, limits);
                progress(Step::Judged);
                (object, verdict)
            })
            .filter(|(_, verdict)| {
                !verdict.findings.is_empty()
                    || !verdict.errors.is_empty()
                    || !verdict.annotations.is_empty()
            })
            .collect();
        for (object, verdict) in judged {
            run.accounts.annotations(&stage.stage, object, &verdict);
            run.take(&stage.stage, About::Object(object), verdict);
        }
    }
    run.files(repository);
    run.reported(repository);
    run.waivers(repository, config);
    run.give_up_on_the_exhausted();

    let Run {
        found,
        mut errors,
        accounts,
        ..
    } = run;
    errors.extend(
        repository
            .failures
            .iter()
            .flat_map(|f| report_failure(engine, f, tree, limits)),
    );
    let objects: usize = repository.stages.iter().map(|s| s.objects.len()).sum();
    if objects == 0 && errors.is_empty() {
        errors.push(ErrorReport::nothing_to_judge());
    }
    let mut notes = accounts.notes(engine, tree);
    notes.extend(empty_stages(repository, config));
    let mut stages: Vec<&Stage> = repository.stages.iter().map(|s| &s.stage).collect();
    for file in &repository.files {
        if !stages.iter().any(|stage| stage.name == file.stage.name) {
            stages.push(&file.stage);
        }
    }
    stages.sort_by(|a, b| a.promotion_order(b));
    let redactions = Redactions::of(repository, tree);
    let found = merge::merge(found, &stages);
    Report::new(repository, found, errors, notes, redactions)
}

/// Configured stages whose paths lead nowhere: most likely misspelt, and then their files are judged
/// as something else.
fn empty_stages(repository: &Repository, config: &Config) -> Vec<String> {
    let is_empty = |name: &str| {
        let stage = repository.stages.iter().find(|s| s.stage.name == name);
        stage.is_some_and(|s| s.objects.is_empty() && s.paths.is_empty() && s.gaps.is_empty())
    };
    let named = config.stages.iter().filter(|s| !s.paths.is_empty());
    named
        .filter(|stage| is_empty(&stage.stage.name))
        .map(|stage| {
            let paths: Vec<&str> = stage.paths.iter().map(|p| p.pattern.as_str()).collect();
            format!(
                "the stage {} has no files: nothing here is named {}",
                stage.stage.name,
                paths.join(", ")
            )
        })
        .collect()
}

/// What the policies of a stage may look at: its own objects, those that belong to no stage, and
/// what is declared to live elsewhere.
fn inventory(stage: &RenderedStage, repository: &Repository, config: &Config) -> Inventory {
    let mut objects = Vec::new();
    if stage.stage.name != Stage::SHARED {
        objects.extend_from_slice(&repository.shared);
    }
    objects.extend_from_slice(&stage.objects);
    let external = config.external.iter();
    objects.extend(
        external
            .filter(|e| e.stages.is_empty() || e.stages.contains(&stage.stage.name))
            .map(|e| Arc::clone(&e.object)),
    );
    Inventory::new(objects).with_gaps(stage.gaps.clone())
}

/// What a verdict is about.
#[derive(Clone, Copy)]
enum About<'a> {
    Object(&'a Arc<Object>),
    /// A file, and the place in it where no pointer leads.
    File(&'a str, Mark),
    /// A file whose content pointers lead into.
    Content(&'a FileSubject<'a>),
}

struct Run<'a> {
    engine: &'a Engine,
    tree: &'a Tree,
    limits: &'a Limits<'a>,
    found: Vec<Located>,
    errors: Vec<ErrorReport>,
    accounts: Accounts,
    /// By policy: what it could not judge within its budget.
    exhausted: BTreeMap<String, Vec<ErrorReport>>,
}

impl<'a> Run<'a> {
    fn world<'w>(&self, stage: &'w Stage, inventory: Option<&'w Inventory>) -> World<'w>
    where
        'a: 'w,
    {
        World {
            stage,
            inventory,
            door: Door::Repository,
            files: Some(&**self.tree.sources()),
        }
    }

    /// Locates what a verdict found.
    fn take(&mut self, stage: &Stage, about: About<'_>, verdict: Verdict) {
        for finding in verdict.findings {
            self.accounts.finding(stage, &finding);
            let waivers = &self.engine.settings().waivers;
            self.found.push(match about {
                About::Object(object) => {
                    locate::finding(self.tree, stage, object, finding, waivers)
                }
                About::File(path, mark) => {
                    locate::file_finding(self.tree, stage, path, mark, finding, waivers)
                }
                About::Content(file) => {
                    let mut mark = file.content.nearest(&finding.violation.pointer).mark;
                    if let Some(line) = finding.violation.line {
                        mark = self.tree.sources().line_of_text(mark, line);
                    }
                    locate::file_finding(self.tree, stage, file.path, mark, finding, waivers)
                }
            });
        }
        for failure in verdict.errors {
            let path = match about {
                About::Object(_) => "",
                About::File(path, _) => path,
                About::Content(file) => file.path,
            };
            let error = match about {
                About::Object(object) => ErrorReport::of_policy(self.tree, object, &failure),
                _ => ErrorReport::of_policy_in_file(path, &failure),
            };
            match failure.error {
                PolicyError::Exhausted(_) => {
                    let id = failure.meta.id.to_string();
                    self.exhausted.entry(id).or_default().push(error);
                }
                _ => self.errors.push(error),
            }
        }
    }

    /// A policy that used up its budget again and again was not asked about every object, and about
    /// which not depends on what ran first: so nothing that it found is told, and one error.
    fn give_up_on_the_exhausted(&mut self) {
        for (policy, errors) in std::mem::take(&mut self.exhausted) {
            if self.limits.exhaustion.is_some_and(|e| e.is_spent(&policy)) {
                self.found.retain(|located| located.report.policy != policy);
                self.errors.push(ErrorReport::exhausted(&policy));
            } else {
                self.errors.extend(errors);
            }
        }
    }

    /// Files that are no manifests.
    fn files(&mut self, repository: &Repository) {
        let of_objects: BTreeSet<(String, Mark)> = self
            .found
            .iter()
            .map(|located| (located.report.policy.clone(), located.mark()))
            .collect();
        for file in &repository.files {
            let subject = FileSubject {
                kind: file.kind,
                path: &file.path,
                content: &file.content,
            };
            let world = self.world(&file.stage, None);
            let mut verdict = self
                .engine
                .review(&Subject::File(subject), &world, self.limits);
            // A Secret that is generated from the file was told with the same place.
            verdict.findings.retain(|finding| {
                let mark = file.content.nearest(&finding.violation.pointer).mark;
                !of_objects.contains(&(finding.meta.id.to_string(), mark))
            });
            self.take(&file.stage, About::Content(&subject), verdict);
        }
    }

    /// What the reader and the renderers found.
    fn reported(&mut self, repository: &Repository) {
        for note in &repository.ambiguities {
            let ambiguity = &note.ambiguity;
            let text = self.tree.sources().get(ambiguity.mark.file);
            let text = text.and_then(|source| {
                let range = ambiguity.mark.start as usize..ambiguity.mark.end as usize;
                source.text.get(range).map(str::to_owned)
            });
            let key = text.unwrap_or_default();
            let mut violation = Violation::of_file(key, ambiguity.message.clone());
            violation.help = Some(ambiguity.help.to_owned());
            let about = About::File(&note.path, ambiguity.mark);
            self.report(&note.stage, AMBIGUOUS_SCALAR, violation, about);
        }
        for source in &repository.external {
            let about = match &source.object {
                Some(object) => About::Object(object),
                None => About::File(&source.path, source.mark),
            };
            self.report(
                &source.stage,
                EXTERNAL_SOURCE,
                source.violation.clone(),
                about,
            );
        }
    }

    /// What is to be said about waivers, once everything has been judged.
    fn waivers(&mut self, repository: &Repository, config: &Config) {
        let settings = self.engine.settings();
        let is_full = repository.complete && settings.only.is_none();
        let stage = match repository.stages.as_slice() {
            [only] => only.stage.clone(),
            _ => Stage::shared(),
        };
        let wrong =
            self.accounts
                .wrong_waivers(&config.settings.waivers, self.limits.today, is_full);
        for (policy, mark, violation) in wrong {
            let path = self.tree.sources().path(mark.file).unwrap_or_default();
            self.report(&stage, policy, violation, About::File(&path, mark));
        }
        if is_full {
            for (stage, object, violation) in self.accounts.unused_annotations() {
                self.report(&stage, WAIVER_UNUSED, violation, About::Object(&object));
            }
        }
    }

    fn report(&mut self, stage: &Stage, policy: &str, violation: Violation, about: About<'_>) {
        let (object, path) = match about {
            About::Object(object) => (Some(&**object), ""),
            About::File(path, _) => (None, path),
            About::Content(file) => (None, file.path),
        };
        let reported = Reported {
            policy,
            violation,
            object,
            path,
        };
        let world = self.world(stage, None);
        let verdict = self
            .engine
            .review(&Subject::Reported(reported), &world, self.limits);
        self.take(stage, about, verdict);
    }
}

/// What could not be judged goes through the engine like everything else.
fn report_failure(
    engine: &Engine,
    failure: &Failure,
    tree: &Tree,
    limits: &Limits<'_>,
) -> Vec<ErrorReport> {
    let mut violation = Violation::of_file(failure.path.clone(), failure.message.clone());
    violation.help.clone_from(&failure.help);
    let reported = Reported {
        policy: UNRENDERED,
        violation,
        object: None,
        path: &failure.path,
    };
    let location = match failure.mark {
        Mark::NONE => None,
        mark => tree.sources().locate(mark),
    };
    let stage = Stage::default_stage();
    let world = World {
        stage: &stage,
        inventory: None,
        door: Door::Repository,
        files: None,
    };
    engine
        .review(&Subject::Reported(reported), &world, limits)
        .findings
        .into_iter()
        .map(|finding| ErrorReport::unrendered(failure, location.clone(), finding.violation))
        .collect()
}
