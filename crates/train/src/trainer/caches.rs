//! The trunk caches of a run, and how much of them the device's memory holds.

use super::Trainer;
use crate::error::TrainError;
use crate::events::{Event, Listener};
use crate::trunk_cache::{TrunkCache, cache_bytes};
use serin_ops::Backend;

/// What of a run's trunk caches is held in the device's own memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheMemory {
    /// Bytes that are set aside there.
    pub held: u64,
    /// Bytes of both caches.
    pub total: u64,
    /// What the device said where it had less than it had promised.
    pub failure: Option<String>,
}

/// Bytes that caches may take of those that are free once a step's memory is planned. The rest is for what grows later:
/// scratch of kernels, by the largest micro-batch, and compiled kernels; and for other programs.
fn room_for_caches(free: usize) -> usize {
    const LEAST_RESERVE: usize = 1 << 30;
    free.saturating_sub(LEAST_RESERVE.max(free / 8))
}

impl<'a, B: Backend> Trainer<'a, B> {
    /// Uses caches of the frozen trunk's output, which must be empty of anything but this very trunk's. A device with memory
    /// of its own holds them there too as far as it has room; see [`Trainer::cache_memory`].
    pub fn with_trunk_caches(mut self, train: TrunkCache<B>, selection: TrunkCache<B>) -> Trainer<'a, B> {
        assert!(self.model.has_frozen_trunk() && !self.inputs.settings.frozen_dropout, "nothing here can be cached");
        self.train_cache = Some(train);
        self.selection_cache = Some(selection);
        self.cache_memory = self.backend.free_memory().map(|free| self.hold_caches(room_for_caches(free)));
        self
    }

    /// Whether the frozen trunk's output is cached.
    pub fn has_trunk_caches(&self) -> bool {
        self.train_cache.is_some()
    }

    /// What of the trunk caches the device's memory holds; `None` without caches, or where buffers lie in the host's memory.
    pub fn cache_memory(&self) -> Option<&CacheMemory> {
        self.cache_memory.as_ref()
    }

    fn hold_caches(&mut self, mut room: usize) -> CacheMemory {
        let at_once = self.space.tokens().max(self.space.sequences());
        let (train, selection) = (self.inputs.train, self.inputs.selection);
        let mut memory = CacheMemory::default();
        for (cache, examples) in [(&mut self.train_cache, train), (&mut self.selection_cache, selection)] {
            let Some(cache) = cache else { continue };
            memory.total += cache_bytes(&self.model, examples);
            match cache.hold(self.backend, &self.model, examples, at_once, room) {
                Ok(bytes) => {
                    room -= bytes;
                    memory.held += bytes as u64;
                }
                Err(error) => memory.failure = Some(error.to_string()),
            }
        }
        memory
    }

    pub(super) fn notes_of_caches(&mut self, listener: &mut dyn Listener) -> Result<(), TrainError> {
        for cache in [&mut self.train_cache, &mut self.selection_cache].into_iter().flatten() {
            if let Some(note) = cache.take_failure() {
                listener.on(&Event::Note(&note))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_what_is_free_and_a_gibibyte_at_least_are_left() {
        const GIB: usize = 1 << 30;
        let left: Vec<usize> = [0, GIB / 2, GIB, 2 * GIB, 16 * GIB].map(room_for_caches).to_vec();
        assert_eq!(left, [0, 0, 0, GIB, 14 * GIB]);
    }
}
