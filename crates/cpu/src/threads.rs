//! A fixed team of threads that runs one set of numbered tasks at a time, with microseconds of hand-over.
//!
//! Which thread runs a task never changes its result: kernels split work by size alone, so one thread and many give the
//! same bits.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a thread looks for work before it sleeps: ops of a forward pass follow each other faster than this.
const SPIN: Duration = Duration::from_micros(100);

/// Looks for work between two readings of the clock.
const LOOKS_A_CLOCK_READING: usize = 32;

type Task = dyn Fn(usize) + Sync;

/// A job as the workers see it. The pointer is valid while `working` counts anyone.
#[derive(Clone, Copy)]
struct Job {
    body: *const Task,
    tasks: usize,
}

struct Shared {
    /// Written by the caller before `generation` moves, read by workers after they saw it move.
    job: Mutex<Option<Job>>,
    generation: AtomicUsize,
    next_task: AtomicUsize,
    /// Workers that have not yet finished with the current generation.
    working: AtomicUsize,
    panicked: Mutex<Option<Box<dyn std::any::Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: the raw pointer inside `job` is only dereferenced while `Threads::run` keeps its referent alive.
unsafe impl Send for Shared {}
// SAFETY: as above; everything else is atomic or behind a mutex.
unsafe impl Sync for Shared {}

/// The team: the calling thread and `count - 1` workers.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    handles: Vec<Thread>,
    /// One job at a time, whoever calls.
    turn: Mutex<()>,
}

thread_local! {
    static INSIDE_TASK: Cell<bool> = const { Cell::new(false) };
}

impl Threads {
    /// A team of `count` (at least 1) threads, the caller included.
    pub(crate) fn new(count: usize) -> std::io::Result<Threads> {
        let shared = Arc::new(Shared {
            job: Mutex::new(None),
            generation: AtomicUsize::new(0),
            next_task: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            panicked: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let mut workers = Vec::new();
        for index in 1..count.max(1) {
            let shared = Arc::clone(&shared);
            let name = format!("serin-cpu-{index}");
            workers.push(thread::Builder::new().name(name).spawn(move || work(&shared))?);
        }
        let handles = workers.iter().map(|worker| worker.thread().clone()).collect();
        Ok(Threads { shared, workers, handles, turn: Mutex::new(()) })
    }

    /// Threads in the team.
    pub(crate) fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body` once for each of `0..tasks`, in any order on any thread, and returns when all are done.
    ///
    /// A call from inside a task runs on that thread alone. A panic in a task is passed on to the caller.
    pub(crate) fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 || self.workers.is_empty() || INSIDE_TASK.get() {
            (0..tasks).for_each(body);
            return;
        }
        let _turn = lock(&self.turn);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased. `finish` below waits, even when unwinding, until no worker is left that
        // could use the pointer, so it outlives its uses.
        let body_for_workers = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const Task>(body) };
        *lock(&shared.job) = Some(Job { body: body_for_workers, tasks });
        shared.next_task.store(0, Ordering::Relaxed);
        shared.working.store(self.workers.len(), Ordering::Relaxed);
        shared.generation.fetch_add(1, Ordering::Release);
        self.handles.iter().for_each(Thread::unpark);

        let outcome = catch_unwind(AssertUnwindSafe(|| take_tasks(shared, body, tasks)));
        // The other threads are at most one task away.
        wait_until(|| shared.working.load(Ordering::Acquire) == 0, thread::yield_now);
        let panicked = lock(&shared.panicked).take();
        if let Some(payload) = outcome.err().or(panicked) {
            resume_unwind(payload);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.generation.fetch_add(1, Ordering::Release);
        self.handles.iter().for_each(Thread::unpark);
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics, so it ends by itself.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared) {
    let mut seen = 0;
    loop {
        wait_until(|| shared.generation.load(Ordering::Acquire) != seen, thread::park);
        seen = shared.generation.load(Ordering::Acquire);
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        // Copied out first: a guard that lived on through the tasks would keep all other workers waiting.
        let job = *lock(&shared.job);
        if let Some(job) = job {
            // SAFETY: `working` counts this thread, so `run` has not returned and the body it borrowed is alive.
            let body = unsafe { &*job.body };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| take_tasks(shared, body, job.tasks))) {
                *lock(&shared.panicked) = Some(payload);
            }
        }
        shared.working.fetch_sub(1, Ordering::Release);
    }
}

fn take_tasks(shared: &Shared, body: &(dyn Fn(usize) + Sync), tasks: usize) {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            INSIDE_TASK.set(false);
        }
    }
    INSIDE_TASK.set(true);
    let _inside = Inside;
    loop {
        let task = shared.next_task.fetch_add(1, Ordering::Relaxed);
        if task >= tasks {
            return;
        }
        body(task);
    }
}

/// Spins until `done`, and calls `rest` between looks once that has taken longer than [`SPIN`].
fn wait_until(done: impl Fn() -> bool, rest: impl Fn()) {
    let started = Instant::now();
    loop {
        // Reading the clock takes longer than a look.
        for _ in 0..LOOKS_A_CLOCK_READING {
            if done() {
                return;
            }
            std::hint::spin_loop();
        }
        if started.elapsed() >= SPIN {
            rest();
        }
    }
}

/// A panic in a task is carried separately, so a poisoned lock still guards sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for count in [1, 2, 3, 7] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            for tasks in [0, 1, 2, 100, 1000] {
                let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                threads.run(tasks, &|task| {
                    runs[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|run| run.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn all_threads_work_at_the_same_time() {
        let threads = Threads::new(4).unwrap();
        let barrier = std::sync::Barrier::new(4);
        threads.run(4, &|_| {
            barrier.wait();
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let threads = Threads::new(2).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| threads.run(10, &|task| assert_ne!(task, 5))));
        assert!(result.is_err());
        let sum = AtomicUsize::new(0);
        threads.run(10, &|task| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }

    #[test]
    fn a_task_may_call_the_team_again() {
        let threads = Threads::new(2).unwrap();
        let sum = AtomicUsize::new(0);
        threads.run(4, &|_| {
            threads.run(4, &|task| {
                sum.fetch_add(task, Ordering::Relaxed);
            })
        });
        assert_eq!(sum.into_inner(), 4 * 6);
    }

    #[test]
    fn a_sleeping_team_wakes_up() {
        let threads = Threads::new(2).unwrap();
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(2));
            let sum = AtomicUsize::new(0);
            threads.run(8, &|task| {
                sum.fetch_add(task, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 28);
        }
    }
}
