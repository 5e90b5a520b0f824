//! A progress bar, for work that takes a person's patience.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stagegate_lint::Step;

/// Shown on a terminal after this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error; nothing where that is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    begun: Instant,
    shown: AtomicBool,
}

impl Bar {
    pub(crate) fn new() -> Bar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar {
            bar,
            begun: Instant::now(),
            shown: AtomicBool::new(false),
        }
    }

    pub(crate) fn step(&self, step: Step) {
        match step {
            Step::ToRender(count) => self.begin("rendering", count),
            Step::ToJudge(count) => self.begin("judging", count),
            Step::Rendered | Step::Judged => self.bar.inc(1),
        }
        if self.begun.elapsed() > PATIENCE && !self.shown.swap(true, Ordering::Relaxed) {
            // Draws nothing where standard error is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn begin(&self, what: &'static str, count: usize) {
        self.bar.set_length(count as u64);
        self.bar.set_position(0);
        self.bar.set_message(what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
