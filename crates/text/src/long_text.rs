//! Cuts a very long text into pieces, so that memory does not grow with the longest line of a file.
//!
//! The tokenizers keep about a hundred bytes a character while they work, and the splitting regex gives up after a
//! million backtracking steps. So a text longer than [`PIECE`] is tokenized piece by piece, cut where no token can
//! span the cut: before a single space between two ASCII letters or digits. A byte-level BPE, a WordPiece and a
//! Unigram tokenizer all begin a new word there, so the ids are those of the whole text (an added token that itself
//! holds such a space is the exception). Only a stretch of [`LONGEST_PIECE`] bytes without such a place is cut at a
//! character boundary; ids may then differ from the uncut text's around the cut.

/// Bytes after which a piece ends at the next safe place.
pub(crate) const PIECE: usize = 64 * 1024;

/// Bytes after which a piece ends anywhere.
pub(crate) const LONGEST_PIECE: usize = 256 * 1024;

/// The pieces of `text`, in order; joined they are `text`.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= PIECE {
            return Some(text);
        }
        let (piece, after) = text.split_at(piece_end(text));
        rest = Some(after).filter(|after| !after.is_empty());
        Some(piece)
    })
}

fn piece_end(text: &str) -> usize {
    let window = &text.as_bytes()[..text.len().min(LONGEST_PIECE)];
    let safe = window[PIECE - 1..]
        .windows(3)
        .position(|bytes| bytes[1] == b' ' && bytes[0].is_ascii_alphanumeric() && bytes[2].is_ascii_alphanumeric());
    match safe {
        Some(offset) => PIECE + offset,
        None => text.floor_char_boundary(LONGEST_PIECE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_text_and_are_bounded() {
        for unit in ["a word, and 1 more. ", "a", "日本語", " ", "x  "] {
            for bytes in [0, 1, PIECE, PIECE + 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3_000_000] {
                let text = unit.repeat(bytes.div_ceil(unit.len()));
                let parts: Vec<&str> = pieces(&text).collect();
                assert_eq!(parts.concat(), text);
                assert!(parts.iter().all(|part| part.len() <= LONGEST_PIECE));
            }
        }
    }

    #[test]
    fn cuts_lie_before_a_single_space_between_words() {
        let text = "it  's a, b c ".repeat(20_000);
        for piece in pieces(&text).skip(1) {
            assert!(piece.starts_with(" c ") || piece.starts_with(" it") || piece.starts_with(" a,"));
        }
        assert!(pieces(&text).count() > 3);
    }
}
