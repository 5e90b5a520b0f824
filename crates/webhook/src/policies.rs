//! The policies that judge, replaced as a whole when their files change.

use std::sync::Arc;

use stagegate_core::{Door, Engine, Stage};

/// Policies with what is configured for them. A request ends with the set that it began with.
pub struct PolicySet {
    pub(crate) engine: Engine,
    pub(crate) stage: Option<Stage>,
    pub(crate) digest: String,
}

impl PolicySet {
    /// The policies of an engine. `stage` is given where the whole cluster is one stage.
    pub fn new(engine: Engine, stage: Option<Stage>) -> PolicySet {
        PolicySet {
            digest: engine.digest(),
            engine,
            stage,
        }
    }

    /// Does on this thread what the first requests on it would do once for all.
    pub(crate) fn prepare(&self) {
        let rules = &self.engine.settings().stages;
        for stage in rules.judged_in(self.stage.as_ref()) {
            self.engine.prepare(&stage, Door::Admission);
        }
    }
}

/// Where policies and their configuration come from.
pub trait PolicySource: Send + Sync + 'static {
    /// Names what the files hold: other content has another name. Cheap enough for every few seconds.
    fn look(&self) -> u128;

    /// Reads and compiles them.
    ///
    /// # Errors
    /// What is wrong with them, in words for a log.
    fn load(&self) -> Result<PolicySet, String>;
}

/// Policies that never change, such as those of a test.
impl<F: Fn() -> Result<PolicySet, String> + Send + Sync + 'static> PolicySource for F {
    fn look(&self) -> u128 {
        0
    }

    fn load(&self) -> Result<PolicySet, String> {
        self()
    }
}

/// What is shared by all that serve.
pub(crate) type SharedSet = arc_swap::ArcSwap<PolicySet>;

/// A set that is ready to judge on every thread of a pool.
pub(crate) fn prepared(set: PolicySet, pool: &crate::pool::Pool) -> Arc<PolicySet> {
    let set = Arc::new(set);
    let own = Arc::clone(&set);
    let chore: Arc<dyn Fn() + Send + Sync> = Arc::new(move || own.prepare());
    pool.on_each(&chore);
    set
}
