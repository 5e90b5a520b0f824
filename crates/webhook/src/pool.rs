//! Threads that judge, apart from those that talk to clients.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long the others wait for a thread that is kept by its work.
const LONGEST_CHORE: Duration = Duration::from_secs(10);

/// What a thread does. It belongs to the thread from then on: that nobody waits for its outcome any
/// more does not free the thread.
type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads, and a queue that is as long as the time that is left allows.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: u32,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// By thread, what it does before anything else.
    chores: Vec<VecDeque<Work>>,
    busy: u32,
    /// How long work took lately: a moving average.
    service: Duration,
    closed: bool,
}

/// The queue is longer than the time that is left.
#[derive(Debug)]
pub(crate) struct Full;

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system has no more.
    pub(crate) fn start(name: &str, threads: NonZeroUsize) -> std::io::Result<Pool> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                chores: (0..threads.get()).map(|_| VecDeque::new()).collect(),
                ..State::default()
            }),
            changed: Condvar::new(),
        });
        for i in 0..threads.get() {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("{name}-{i}"))
                .spawn(move || shared.work(i))?;
        }
        Ok(Pool {
            shared,
            threads: u32::try_from(threads.get()).unwrap_or(u32::MAX),
        })
    }

    /// Puts work at the end of the queue, if it can be expected to begin within the time.
    ///
    /// # Errors
    /// If it cannot. The work is dropped.
    pub(crate) fn submit(
        &self,
        within: Duration,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), Full> {
        let mut state = self.shared.lock();
        let before = u32::try_from(state.queue.len()).unwrap_or(u32::MAX);
        let waits = before.saturating_add(state.busy) >= self.threads;
        if waits && state.service.saturating_mul(before.saturating_add(1)) / self.threads > within {
            return Err(Full);
        }
        state.queue.push_back(Box::new(work));
        drop(state);
        // Who waits is any of the threads, since chores wake all of them.
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Does something on every thread, on one after the other, so that the others go on working. Comes
    /// back when all have done it that can.
    pub(crate) fn on_each(&self, work: &Arc<dyn Fn() + Send + Sync>) {
        let threads = self.shared.lock().chores.len();
        for i in 0..threads {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            let work = Arc::clone(work);
            self.shared.lock().chores[i].push_back(Box::new(move || {
                let _done = done;
                work();
            }));
            self.shared.changed.notify_all();
            // The other end goes when it is done, however that ends. A thread that is kept by its work
            // does it later.
            let _ = wait.recv_timeout(LONGEST_CHORE);
        }
    }

    /// How much work waits.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // What waits is done before the threads end.
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, thread: usize) {
        let mut state = self.lock();
        loop {
            if let Some(chore) = state.chores[thread].pop_front() {
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(chore));
                state = self.lock();
            } else if let Some(work) = state.queue.pop_front() {
                state.busy += 1;
                drop(state);
                let began = Instant::now();
                // Who waits for an answer sees that there will be none.
                let _ = catch_unwind(AssertUnwindSafe(work));
                let took = began.elapsed();
                state = self.lock();
                state.busy -= 1;
                state.service = (state.service * 7 + took) / 8;
            } else if state.closed {
                return;
            } else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn pool(threads: usize) -> Pool {
        Pool::start("test", NonZeroUsize::new(threads).unwrap()).unwrap()
    }

    #[test]
    fn what_cannot_begin_in_time_is_refused() {
        let pool = pool(1);
        let (started, is_started) = channel();
        let (release, released) = channel::<()>();
        pool.submit(LONG, || std::thread::sleep(Duration::from_millis(40)))
            .unwrap();
        pool.submit(LONG, move || {
            started.send(()).unwrap();
            released.recv().unwrap();
        })
        .unwrap();
        is_started.recv().unwrap();
        // It takes about 5 ms, a moving average says.
        assert!(pool.submit(Duration::from_nanos(1), || {}).is_err());
        pool.submit(LONG, || {}).unwrap();
        assert_eq!(pool.waiting(), 1);
        release.send(()).unwrap();
    }

    #[test]
    fn a_panic_costs_no_thread_and_chores_reach_every_one() {
        let pool = pool(3);
        for _ in 0..10 {
            pool.submit(LONG, || std::panic::resume_unwind(Box::new(())))
                .unwrap();
        }
        let names = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&names);
        let chore: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            let name = std::thread::current().name().unwrap().to_owned();
            told.lock().unwrap().push(name);
        });
        pool.on_each(&chore);
        assert_eq!(*names.lock().unwrap(), ["test-0", "test-1", "test-2"]);
        let count = Arc::new(AtomicUsize::new(0));
        let (done, wait) = channel::<()>();
        for _ in 0..100 {
            let (count, done) = (Arc::clone(&count), done.clone());
            pool.submit(LONG, move || {
                count.fetch_add(1, Ordering::Relaxed);
                drop(done);
            })
            .unwrap();
        }
        drop(done);
        let _ = wait.recv();
        assert_eq!(count.load(Ordering::Relaxed), 100);
    }
}
