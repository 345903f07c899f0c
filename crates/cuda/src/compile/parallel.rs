//! Independent work on several threads, with a word to whoever waits if it takes long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How work is spread and waited for.
pub(super) struct Plan<'a> {
    pub(super) threads: usize,
    /// After this long `slow` is called, once.
    pub(super) patience: Duration,
    pub(super) slow: &'a dyn Fn(),
}

/// Does `work` on all items, which begin in their order; gives results in the order in which they come.
///
/// # Errors
/// The first failure; what has not begun by then is left.
pub(super) fn all<T, R, E>(
    items: &[T],
    plan: &Plan<'_>,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<(T, R)>, E>
where
    T: Copy + Send + Sync,
    R: Send,
    E: Send,
{
    let (next, (sender, receiver)) = (AtomicUsize::new(0), mpsc::channel());
    let worker = || {
        let sender = sender.clone();
        let (next, work) = (&next, &work);
        move || {
            while let Some(&item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                if sender.send((item, work(item))).is_err() {
                    return; // another item failed
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.clamp(1, items.len().max(1)) {
            scope.spawn(worker());
        }
        collect(receiver, items.len(), plan)
    })
}

fn collect<T, R, E>(
    results: mpsc::Receiver<(T, Result<R, E>)>,
    count: usize,
    plan: &Plan<'_>,
) -> Result<Vec<(T, R)>, E> {
    let started = Instant::now();
    let (mut done, mut told) = (Vec::with_capacity(count), false);
    while done.len() < count {
        let wait = if told { Duration::MAX } else { plan.patience.saturating_sub(started.elapsed()) };
        match results.recv_timeout(wait) {
            Ok((item, result)) => done.push((item, result?)),
            Err(RecvTimeoutError::Timeout) => {
                (plan.slow)();
                told = true;
            }
            // A thread panicked, and the scope will too.
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Barrier;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn every_item_is_done_and_several_at_a_time() {
        let both = Barrier::new(2);
        let plan = Plan { threads: 2, patience: LONG, slow: &|| panic!("nothing was slow") };
        let work = |item: u32| {
            both.wait(); // never over with one thread
            Ok::<_, ()>(item * item)
        };
        let mut done = all(&[1, 2, 3, 4, 5, 6], &plan, work).unwrap();
        done.sort_unstable();
        assert_eq!(done, [(1, 1), (2, 4), (3, 9), (4, 16), (5, 25), (6, 36)]);
        assert_eq!(all(&[], &plan, work).unwrap(), []);
    }

    #[test]
    fn who_waits_is_told_once() {
        let told = Cell::new(0);
        let slow = || told.set(told.get() + 1);
        let plan = Plan { threads: 1, patience: Duration::from_millis(5), slow: &slow };
        let work = |_: u32| {
            std::thread::sleep(Duration::from_millis(20));
            Ok::<_, ()>(())
        };
        assert_eq!(all(&[1, 2, 3], &plan, work).unwrap().len(), 3);
        assert_eq!(told.get(), 1);
    }

    #[test]
    fn the_first_failure_ends_it() {
        let begun = AtomicUsize::new(0);
        let plan = Plan { threads: 1, patience: LONG, slow: &|| () };
        let items: Vec<usize> = (0..1000).collect();
        let work = |item: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            if item == 3 { Err("no") } else { Ok(()) }
        };
        assert_eq!(all(&items, &plan, work), Err("no"));
        assert!(begun.load(Ordering::Relaxed) < 1000, "the rest was done in vain");
    }
}
