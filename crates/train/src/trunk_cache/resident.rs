//! Rows of a trunk cache in the device's own memory, from where a micro-batch's are gathered without the host.

use super::Piece;
use serin_model::{Model, Workspace};
use serin_ops::{Backend, DeviceError};

/// The cache's first rows, each at its place, as far as there is room.
pub(super) struct Resident<B: Backend> {
    /// `[capacity, hidden]`, the storage type.
    rows: B::Buffer,
    capacity: usize,
    /// By example, whether its rows have come.
    there: Vec<bool>,
    /// Which rows make up the micro-batch.
    indices: B::Indices,
    /// The same on the host, kept for its memory.
    listed: Vec<u32>,
}

impl<B: Backend> Resident<B> {
    /// Room for the first `capacity` rows of a cache of so many examples, of which a micro-batch has `at_once` rows at most.
    pub(super) fn new(
        backend: &B,
        model: &Model<B>,
        capacity: usize,
        examples: usize,
        at_once: usize,
    ) -> Result<Resident<B>, DeviceError> {
        Ok(Resident {
            rows: backend.buffer(model.dtype(), capacity * model.config().hidden)?,
            capacity,
            there: vec![false; examples],
            indices: backend.indices(at_once)?,
            listed: Vec::with_capacity(at_once),
        })
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.there[index]
    }

    /// Takes an example's rows out of the workspace, if there is room for them.
    pub(super) fn keep(&mut self, backend: &B, model: &Model<B>, space: &Workspace<B>, piece: &Piece) {
        if self.there[piece.index] || piece.rows.end > self.capacity {
            return;
        }
        model.copy_trunk(backend, space, piece.row, piece.rows.len(), &mut self.rows, piece.rows.start);
        self.there[piece.index] = true;
    }

    /// Brings into the workspace what of a micro-batch is there. Rows that are not hold anything afterwards.
    pub(super) fn gather(&mut self, backend: &B, model: &Model<B>, space: &mut Workspace<B>, pieces: &[Piece]) {
        if !pieces.iter().any(|piece| self.there[piece.index]) {
            return;
        }
        self.listed.clear();
        for Piece { index, rows, .. } in pieces {
            // What is not there takes the place of row 0, so that all the others are at theirs.
            let row = |row| if self.there[*index] { row as u32 } else { 0 };
            self.listed.extend(rows.clone().map(row));
        }
        backend.write_indices(&mut self.indices, &self.listed);
        model.gather_trunk(backend, space, &self.rows, &self.indices);
    }
}
