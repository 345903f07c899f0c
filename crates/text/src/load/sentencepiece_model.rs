//! The few fields of a SentencePiece model file that a Unigram tokenizer needs.
//!
//! The file is a protocol buffer, `ModelProto` of `sentencepiece_model.proto`
//! (<https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>).

/// A SentencePiece model of the Unigram kind.
#[derive(Debug, PartialEq)]
pub(crate) struct SentencePieceModel {
    pub(crate) pieces: Vec<Piece>,
    /// Normalisation rules as the `Precompiled` normalizer reads them; empty if there are none.
    pub(crate) precompiled_charsmap: Vec<u8>,
}

/// One entry of the vocabulary.
#[derive(Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Log probability.
    pub(crate) score: f32,
    pub(crate) kind: PieceKind,
}

/// What a piece is for (`SentencePiece.Type`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PieceKind {
    Control,
    UserDefined,
    Other,
}

const UNIGRAM: u64 = 1;

impl SentencePieceModel {
    /// Reads a model file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self { pieces: Vec::new(), precompiled_charsmap: Vec::new() };
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Bytes(piece)) => model.pieces.push(Piece::parse(piece)?),
                (2, Wire::Bytes(trainer)) => require_unigram(trainer)?,
                (3, Wire::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        if let (2, Wire::Bytes(charsmap)) = field? {
                            model.precompiled_charsmap = charsmap.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err("not a SentencePiece model: it has no pieces".to_owned());
        }
        Ok(model)
    }
}

impl Piece {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: PieceKind::Other };
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Bytes(text)) => {
                    piece.text = str::from_utf8(text).map_err(|_| "a piece is not valid UTF-8".to_owned())?.to_owned();
                }
                (2, Wire::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Wire::Varint(3)) => piece.kind = PieceKind::Control,
                (3, Wire::Varint(4)) => piece.kind = PieceKind::UserDefined,
                _ => {}
            }
        }
        if !piece.score.is_finite() {
            return Err(format!("the score of {:?} is {}", piece.text, piece.score));
        }
        Ok(piece)
    }
}

fn require_unigram(trainer: &[u8]) -> Result<(), String> {
    for field in Fields(trainer) {
        if let (3, Wire::Varint(kind)) = field?
            && kind != UNIGRAM
        {
            return Err("a SentencePiece model that is not Unigram; write a tokenizer.json with \
                 AutoTokenizer(...).save_pretrained in Python"
                .to_owned());
        }
    }
    Ok(())
}

/// A value of the protocol buffer wire format.
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed64,
}

/// The fields of one message, each with its number.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "a truncated or damaged SentencePiece model; download it again".to_owned()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}
