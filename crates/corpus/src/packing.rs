//! Cuts the token ids of documents into sequences.

use crate::error::CorpusError;
use crate::settings::Packing;
use serin_text::Tokenizer;

/// Of a document that is cut, a rest with fewer tokens than this teaches next to nothing.
const SHORTEST_REST: usize = 8;

/// The special tokens of sequences.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Before the text: `<s>`.
    before: Vec<u32>,
    /// After it: `</s>`.
    after: Vec<u32>,
    /// Between two documents: `</s>`.
    separator: u32,
}

impl Frame {
    /// The special tokens of a tokenizer.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Self, CorpusError> {
        let Some(separator) = tokenizer.special_ids().sep else {
            let problem = "it has no token that ends a text (</s>, [SEP])".into();
            return Err(CorpusError::Tokenizer { problem });
        };
        let (before, after) = tokenizer.special_around();
        Ok(Self { before, after, separator })
    }
}

/// Takes the token ids of documents and gives sequences.
#[derive(Debug)]
pub(crate) struct Packer {
    frame: Frame,
    packing: Packing,
    /// The most tokens of a sequence between its special ones.
    room: usize,
    /// Full sentences: the beginning of the next sequence.
    open: Vec<u32>,
    /// Tokens of rests that were too short.
    pub(crate) dropped: u64,
}

impl Packer {
    /// A packer for sequences of at most `max_length` tokens.
    pub(crate) fn new(frame: Frame, packing: Packing, max_length: usize) -> Result<Self, CorpusError> {
        let special = frame.before.len() + frame.after.len();
        match max_length.checked_sub(special) {
            Some(room) if room >= SHORTEST_REST => Ok(Self { frame, packing, room, open: Vec::new(), dropped: 0 }),
            _ => {
                let problem = format!("{max_length} leaves no room beside {special} special tokens");
                Err(CorpusError::Setting { field: "max_length", problem })
            }
        }
    }

    /// Takes the next document, and gives the sequences that it fills to `write`.
    pub(crate) fn push<E>(&mut self, document: &[u32], write: impl FnMut(&[u32]) -> Result<(), E>) -> Result<(), E> {
        match self.packing {
            Packing::FullSentences => self.push_full(document, write),
            Packing::DocSentences => self.push_alone(document, write),
        }
    }

    /// Gives what is left.
    pub(crate) fn finish<E>(&mut self, mut write: impl FnMut(&[u32]) -> Result<(), E>) -> Result<(), E> {
        if self.open.is_empty() {
            return Ok(());
        }
        let content = std::mem::take(&mut self.open);
        write(&self.framed(&content))
    }

    fn push_full<E>(&mut self, document: &[u32], mut write: impl FnMut(&[u32]) -> Result<(), E>) -> Result<(), E> {
        if document.is_empty() {
            return Ok(());
        }
        // A separator only between tokens of two documents: at the ends of a sequence stands its frame.
        if !self.open.is_empty() && self.open.len() + 2 <= self.room {
            self.open.push(self.frame.separator);
        } else {
            self.finish(&mut write)?;
        }
        let mut rest = document;
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(self.room - self.open.len()));
            self.open.extend_from_slice(taken);
            rest = after;
            if self.open.len() == self.room {
                self.finish(&mut write)?;
            }
        }
        Ok(())
    }

    fn push_alone<E>(&mut self, document: &[u32], mut write: impl FnMut(&[u32]) -> Result<(), E>) -> Result<(), E> {
        for (index, content) in document.chunks(self.room).enumerate() {
            if index > 0 && content.len() < SHORTEST_REST {
                self.dropped += content.len() as u64;
            } else {
                write(&self.framed(content))?;
            }
        }
        Ok(())
    }

    fn framed(&self, content: &[u32]) -> Vec<u32> {
        [&self.frame.before, content, &self.frame.after].concat()
    }
}
