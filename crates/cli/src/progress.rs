//! A progress bar, for work that takes a person's patience.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stagegate_lint::Step;

/// Shown on a terminal after this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error; nothing where that is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    begun: Instant,
}

impl Bar {
    pub(crate) fn new() -> Bar {
        // Draws nothing on what is no terminal; hidden on one until patience is gone.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar {
            bar,
            begun: Instant::now(),
        }
    }

    pub(crate) fn step(&self, step: Step) {
        match step {
            Step::ToRender(count) => {
                self.bar.set_message("rendering");
                self.bar.set_length(count as u64);
            }
            Step::Rendered => self.bar.inc(1),
            Step::ToJudge(count) => {
                self.bar.set_message("judging");
                self.bar.set_length(count as u64);
                self.bar.set_position(0);
            }
        }
        if self.bar.is_hidden() && self.begun.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
