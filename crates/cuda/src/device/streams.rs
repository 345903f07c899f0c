//! Two streams: one computes, one copies to the card beside it. Events keep them in order.
//!
//! A copy waits for the last work that may touch the memory it writes to, and all work that is enqueued after a copy waits for
//! it: nobody can tell this from one queue, but that a copy need not wait for work on other memory.
//!
//! What memory waits for is a *moment*: a number that grows when work lies between two copies. Memory remembers the moment
//! of its last use; the work of a moment is over when its mark, an event, has passed.

#![allow(unsafe_code)] // calls the driver

use super::card::said;
use super::staging::Staging;
use super::{Address, After};
use crate::error::CudaError;
use cudarc::driver::result;
use cudarc::driver::result::stream::StreamKind;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUevent_wait_flags, CUstream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks that are remembered. Memory that was last used before waits for the oldest: longer than it must.
const MARKS: usize = 16;

/// The streams of a card. Never destroyed: they live as long as it.
pub(super) struct Streams {
    compute: CUstream,
    copies: CUstream,
    staging: Staging,
    /// What `compute` waits for after copies.
    copied: CUevent,
    /// Whether there are copies that `compute` does not wait for yet.
    copying: bool,
    /// What `copies` waits for before a copy that must not overtake anything.
    all: CUevent,
    marks: Marks,
}

/// The marks of the last moments, oldest first.
struct Marks {
    events: VecDeque<(u64, CUevent)>,
    /// The moment to which work belongs now.
    now: Arc<AtomicU64>,
    /// Whether there is work of this moment.
    worked: bool,
    /// The last moment that `copies` has waited for.
    awaited: u64,
}

// SAFETY: the driver's handles may be used from any thread.
unsafe impl Send for Streams {}

fn event() -> Result<CUevent, CudaError> {
    result::event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(said("making an event"))
}

/// Makes one stream wait for what the other has to do so far.
///
/// # Safety
/// The streams and the event live, and their context is current.
unsafe fn order(first: CUstream, event: CUevent, then: CUstream) -> Result<(), CudaError> {
    // SAFETY: the caller's.
    unsafe {
        result::event::record(event, first).map_err(said("marking a stream"))?;
        wait(then, event)
    }
}

/// # Safety
/// As [`order`].
unsafe fn wait(stream: CUstream, event: CUevent) -> Result<(), CudaError> {
    // SAFETY: the caller's.
    unsafe { result::stream::wait_event(stream, event, CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }
        .map_err(said("making a stream wait"))
}

/// A stream that waits for no other of itself.
pub(super) fn stream() -> Result<CUstream, CudaError> {
    result::stream::create(StreamKind::NonBlocking).map_err(said("making a stream"))
}

impl Streams {
    /// The context must be current, here and in every call.
    pub(super) fn new() -> Result<Streams, CudaError> {
        Ok(Streams {
            compute: stream()?,
            copies: stream()?,
            staging: Staging::new()?,
            copied: event()?,
            copying: false,
            all: event()?,
            marks: Marks {
                events: VecDeque::with_capacity(MARKS),
                now: Arc::new(AtomicU64::new(1)),
                worked: false,
                awaited: 0,
            },
        })
    }

    /// The number of the moment, for whoever may ask without a lock.
    pub(super) fn moments(&self) -> Arc<AtomicU64> {
        self.marks.now.clone()
    }

    /// The stream for work that is enqueued now, after all copies so far.
    pub(super) fn compute(&mut self) -> Result<CUstream, CudaError> {
        if self.copying {
            // SAFETY: streams and event live as long as the card.
            unsafe { order(self.copies, self.copied, self.compute)? };
            self.copying = false;
        }
        self.marks.worked = true;
        Ok(self.compute)
    }

    /// Enqueues a copy; the bytes may change at once.
    ///
    /// # Safety
    /// `bytes.len()` bytes from `to` are in one allocation, and nothing that was enqueued later than `after` touches them.
    pub(super) unsafe fn write(&mut self, to: Address, bytes: &[u8], after: After) -> Result<(), CudaError> {
        // SAFETY: streams and events live as long as the card.
        unsafe {
            match after {
                After::Everything => order(self.compute, self.all, self.copies)?,
                After::Moment(moment) => self.marks.await_in(self.copies, moment, self.compute)?,
            }
        }
        self.copying = true;
        // SAFETY: the caller's; `copies` is the only stream that the staging sees.
        unsafe { self.staging.write(to, bytes, self.copies) }
    }
}

impl Marks {
    /// Makes a stream wait for the work of a moment, and what is enqueued from now on belong to another if there was any.
    ///
    /// # Safety
    /// The streams live, and work is enqueued in `compute`.
    unsafe fn await_in(&mut self, stream: CUstream, moment: u64, compute: CUstream) -> Result<(), CudaError> {
        if self.worked {
            // SAFETY: the caller's.
            unsafe { self.mark(compute)? };
        }
        // A later mark is passed later than one that is forgotten; work of a moment without a mark is still to come.
        let mark = self.events.iter().find(|(marked, _)| *marked >= moment).or(self.events.back());
        if let Some(&(marked, event)) = mark
            && marked > self.awaited
        {
            // SAFETY: the caller's.
            unsafe { wait(stream, event)? };
            self.awaited = marked;
        }
        Ok(())
    }

    /// Ends the moment.
    ///
    /// # Safety
    /// As [`Marks::await_in`].
    unsafe fn mark(&mut self, compute: CUstream) -> Result<(), CudaError> {
        let event = if self.events.len() < MARKS {
            event()?
        } else {
            // Whoever waits for it waits for what it marked when they began to.
            self.events.pop_front().map_or_else(event, |(_, oldest)| Ok(oldest))?
        };
        // SAFETY: the caller's.
        unsafe { result::event::record(event, compute) }.map_err(said("marking a stream"))?;
        self.events.push_back((self.now.fetch_add(1, Ordering::Relaxed), event));
        self.worked = false;
        Ok(())
    }
}
