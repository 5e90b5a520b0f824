//! Modules that are evaluated together.

use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use regorus::unstable::{Module as Ast, Ref};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, PolicyLengthConfig, Value};
use stagegate_core::PolicyError;

use crate::LoadError;
use crate::builtins;
use crate::library;
use crate::module::{Dialect, Module, RegoMessage};

/// How many steps an evaluation may take: some tenths of a second. Counted, because a verdict that
/// depended on a clock would depend on the machine.
pub(crate) const STEPS: u32 = 2_000_000;

/// How many threads have a compiled program of their own: evaluating counts references all the time,
/// and threads that count the same ones wait for each other.
const SLOTS: usize = 8;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The slot of this thread.
    static SLOT: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS;
}

/// Modules with their data, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Program {
    modules: Vec<Arc<Module>>,
    data: Value,
    slots: [Slot; SLOTS],
}

/// What belongs to the threads of a slot.
#[derive(Debug, Default)]
struct Slot {
    ready: OnceLock<Result<Ready, Failed>>,
    idle: Mutex<Vec<Idle>>,
}

/// An engine that has evaluated before, and can again: copying one means copying the table of its
/// functions, which takes as long as a small policy.
struct Idle(Engine);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Idle")
    }
}

#[derive(Clone)]
struct Ready {
    engine: Engine,
    /// The engine's own trees of the modules, in their order; none of what is native.
    trees: Vec<Option<Ref<Ast>>>,
}

impl Ready {
    fn tree(&self, module: usize) -> anyhow::Result<&Ref<Ast>> {
        let tree = self.trees.get(module).and_then(Option::as_ref);
        tree.ok_or_else(|| anyhow::anyhow!("the module is not there"))
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready")
    }
}

/// Why an evaluation failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// The module and the offset in its own text, where that is known.
    at: Option<(usize, usize)>,
    message: String,
    exhausted: bool,
}

/// What came of an evaluation that is looked at closely.
pub(crate) struct Trial {
    pub(crate) value: Result<Value, PolicyError>,
    pub(crate) prints: Vec<String>,
    pub(crate) coverage: Vec<regorus::coverage::File>,
}

impl Trial {
    fn failed(error: PolicyError) -> Trial {
        Trial {
            value: Err(error),
            prints: Vec::new(),
            coverage: Vec::new(),
        }
    }
}

impl Program {
    pub(crate) fn new(modules: Vec<Arc<Module>>, data: Value) -> Program {
        Program {
            modules,
            data,
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }

    /// Compiles, as the first evaluation would: what is wrong is told now.
    pub(crate) fn compile(&self) -> Result<(), LoadError> {
        self.ready()
            .map(|_| ())
            .map_err(|failed| self.load_error(failed))
    }

    /// Compiles for this thread. What is wrong is told by the first evaluation.
    pub(crate) fn prepare(&self) {
        let _ = self.ready();
    }

    fn ready(&self) -> Result<&Ready, &Failed> {
        self.slot()
            .ready
            .get_or_init(|| self.build().map_err(|e| self.failed(&e)))
            .as_ref()
    }

    fn slot(&self) -> &Slot {
        &self.slots[SLOT.with(|slot| *slot)]
    }

    fn build(&self) -> anyhow::Result<Ready> {
        let mut engine = Engine::new();
        engine.set_policy_length_config(PolicyLengthConfig {
            max_col: crate::text::MAX_COLUMN,
            max_file_bytes: NonZeroUsize::MAX,
            max_lines: NonZeroUsize::MAX,
        });
        // The first look at the clock comes when the steps are used up, and then it is too late.
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: Duration::ZERO,
            check_interval: NonZeroU32::MIN.saturating_add(STEPS - 1),
        });
        // Otherwise the library writes to standard error.
        engine.set_gather_prints(true);
        builtins::bound(&mut engine)?;
        let mut is_there = Vec::new();
        for module in &self.modules {
            is_there.push(!library::is_native(module));
            if library::is_native(module) {
                library::add(&mut engine, self.modules.iter().map(AsRef::as_ref))?;
                continue;
            }
            engine.set_rego_v0(module.dialect == Dialect::V0);
            engine.add_policy(module.name.clone(), module.text.patched.clone())?;
        }
        if !matches!(self.data, Value::Undefined) {
            engine.add_data(self.data.clone())?;
        }
        let mut parsed = engine.get_modules().clone().into_iter();
        let trees = is_there
            .into_iter()
            .map(|is_there| is_there.then(|| parsed.next()).flatten());
        let trees = trees.collect();
        engine.eval_query("1".to_owned(), false)?;
        Ok(Ready { engine, trees })
    }

    /// A rule's value for an input. Undefined where there is no such rule.
    ///
    /// `rule` is its path: `data.stagegate.replicas.violation`.
    pub(crate) fn evaluate(&self, rule: &str, input: Value) -> Result<Value, PolicyError> {
        self.run(input, |_, engine| engine.eval_rule(rule.to_owned()))
    }

    /// The value of one definition of a rule alone, and not of others under the same name.
    pub(crate) fn evaluate_definition(
        &self,
        module: usize,
        definition: usize,
        name: &str,
        input: Value,
    ) -> Result<Value, PolicyError> {
        self.run(input, |ready, engine| {
            let tree = ready.tree(module)?;
            let data = engine.eval_rule_in_module(tree, &tree.policy[definition], false)?;
            Ok(self.found(&data, module, name))
        })
    }

    /// The value of a definition without input, and what it printed and evaluated on the way.
    pub(crate) fn trial(&self, module: usize, definition: usize, name: &str) -> Trial {
        let ready = match self.ready() {
            Ok(ready) => ready,
            Err(failed) => return Trial::failed(self.policy_error(failed)),
        };
        let mut engine = ready.engine.clone();
        engine.set_enable_coverage(true);
        builtins::begin();
        let Ok(tree) = ready.tree(module) else {
            return Trial::failed(PolicyError::Failed("the module is not there".to_owned()));
        };
        // The library panics where a builtin of its own does.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            engine.eval_rule_in_module(tree, &tree.policy[definition], false)
        }));
        let value = match evaluated {
            Ok(Ok(data)) => Ok(self.found(&data, module, name)),
            Ok(Err(error)) => Err(self.policy_error(&self.failed(&error))),
            Err(_) => Err(PolicyError::Failed("the evaluation panicked".to_owned())),
        };
        Trial {
            value,
            prints: engine.take_prints().unwrap_or_default(),
            coverage: engine
                .get_coverage_report()
                .map_or_else(|_| Vec::new(), |r| r.files),
        }
    }

    /// A rule's value in what was evaluated.
    fn found(&self, data: &Value, module: usize, name: &str) -> Value {
        let package = self.modules[module].package.iter();
        let mut path = package.map(String::as_str).chain(name.split('.'));
        let found = path.try_fold(data, |value, step| crate::convert::field(value, step));
        found.cloned().unwrap_or(Value::Undefined)
    }

    fn run(
        &self,
        input: Value,
        evaluate: impl FnOnce(&Ready, &mut Engine) -> anyhow::Result<Value>,
    ) -> Result<Value, PolicyError> {
        let ready = self.ready().map_err(|failed| self.policy_error(failed))?;
        let idle = || {
            self.slot()
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let engine = idle().pop();
        let mut engine = engine.map_or_else(|| ready.engine.clone(), |idle| idle.0);
        engine.set_input(input);
        builtins::begin();
        let answer =
            evaluate(ready, &mut engine).map_err(|e| self.policy_error(&self.failed(&e)))?;
        // One that failed is left where it was, and not used again.
        engine.set_input(Value::Undefined);
        let _ = engine.take_prints();
        idle().push(Idle(engine));
        Ok(answer)
    }

    pub(crate) fn modules(&self) -> &[Arc<Module>] {
        &self.modules
    }

    pub(crate) fn failed(&self, error: &anyhow::Error) -> Failed {
        let message = error.to_string();
        let exhausted = message.contains("execution exceeded time limit");
        let told = RegoMessage::of(&message);
        let module = self.modules.iter().position(|m| m.name == told.module);
        let at = module.zip(told.at).map(|(i, (line, column))| {
            let text = &self.modules[i].text;
            (i, text.original(text.offset(line, column)))
        });
        Failed {
            at,
            message: if exhausted {
                format!("it did not come to an end within {STEPS} steps")
            } else {
                told.text
            },
            exhausted,
        }
    }

    pub(crate) fn policy_error(&self, failed: &Failed) -> PolicyError {
        let place = failed.at.map(|(i, offset)| {
            let module = &self.modules[i];
            module.place.line(&module.original, offset)
        });
        let message = match place {
            Some(place) => format!("{} ({place})", failed.message),
            None => failed.message.clone(),
        };
        if failed.exhausted {
            PolicyError::Exhausted(message)
        } else {
            PolicyError::Failed(message)
        }
    }

    fn load_error(&self, failed: &Failed) -> LoadError {
        let (module, offset) = failed.at.unwrap_or_default();
        let module = &self.modules[module];
        LoadError {
            mark: module.place.mark(&module.original, offset, offset + 1),
            message: failed.message.clone(),
            help: None,
        }
    }
}
