//! Where the special tokens stand around one text and around a pair.

use std::path::Path;

use tokenizers::{Encoding, Token};

use crate::error::TextError;

/// Special tokens before, between and after the texts, taken once from the tokenizer's post-processor.
#[derive(Debug, Clone)]
pub(crate) struct SequenceTemplate {
    /// `pieces[i]` stands before text `i`, the last one after all texts.
    pieces: Vec<Vec<(u32, u8)>>,
    /// The type id of the tokens of each text.
    text_types: Vec<u8>,
}

impl SequenceTemplate {
    /// Reads the template of `texts` (1 or 2) texts off what the post-processor does to one-token stand-ins.
    pub(crate) fn read(
        tokenizer: &tokenizers::Tokenizer,
        texts: usize,
        keep_type_ids: bool,
        path: &Path,
    ) -> Result<Self, TextError> {
        // No vocabulary has ids that high: a stand-in cannot be taken for a special token.
        let stand_in = |text: usize| u32::MAX - text as u32;
        let encoding = |text: usize| {
            let token = Token::new(stand_in(text), "a".to_owned(), (0, 1));
            Encoding::from_tokens(vec![token], text as u32)
        };
        let processed = tokenizer
            .post_process(encoding(0), (texts == 2).then(|| encoding(1)), true)
            .map_err(|error| TextError::unusable(path, error))?;

        let mut template = Self { pieces: vec![Vec::new()], text_types: Vec::new() };
        for (&id, &type_id) in processed.get_ids().iter().zip(processed.get_type_ids()) {
            let type_id = match u8::try_from(type_id) {
                _ if !keep_type_ids => 0,
                Ok(type_id) => type_id,
                Err(_) => {
                    let problem = format!("type id {type_id} is larger than 255");
                    return Err(TextError::field(path, "post_processor", problem));
                }
            };
            if id == stand_in(template.text_types.len()) {
                template.text_types.push(type_id);
                template.pieces.push(Vec::new());
            } else if let Some(piece) = template.pieces.last_mut() {
                piece.push((id, type_id));
            }
        }
        let repeated = template.pieces.iter().flatten().any(|(id, _)| *id >= stand_in(1));
        if template.text_types.len() != texts || repeated {
            let problem = format!("does not place {texts} text(s) once each and in order");
            return Err(TextError::field(path, "post_processor", problem));
        }
        Ok(template)
    }

    /// How many special tokens a sequence has.
    pub(crate) fn special_count(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    /// The ids before the first text, and those after the last.
    pub(crate) fn around(&self) -> (Vec<u32>, Vec<u32>) {
        let ids = |piece: Option<&Vec<(u32, u8)>>| piece.into_iter().flatten().map(|(id, _)| *id).collect();
        (ids(self.pieces.first()), ids(self.pieces.last()))
    }

    /// The special token ids.
    pub(crate) fn special_ids(&self) -> impl Iterator<Item = u32> {
        self.pieces.iter().flatten().map(|(id, _)| *id)
    }

    /// Ids and type ids of the texts with the special tokens around them.
    pub(crate) fn assemble(&self, texts: &[Vec<u32>]) -> (Vec<u32>, Vec<u8>) {
        let length = self.special_count() + texts.iter().map(Vec::len).sum::<usize>();
        let mut ids = Vec::with_capacity(length);
        let mut type_ids = Vec::with_capacity(length);
        let mut pieces = self.pieces.iter();
        let mut push_piece = |ids: &mut Vec<u32>, type_ids: &mut Vec<u8>| {
            for &(id, type_id) in pieces.next().into_iter().flatten() {
                ids.push(id);
                type_ids.push(type_id);
            }
        };
        push_piece(&mut ids, &mut type_ids);
        for (text, &type_id) in texts.iter().zip(&self.text_types) {
            ids.extend_from_slice(text);
            type_ids.resize(ids.len(), type_id);
            push_piece(&mut ids, &mut type_ids);
        }
        (ids, type_ids)
    }
}
