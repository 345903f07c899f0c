//! Which tokens of a text that is too long are kept.

use serde::{Deserialize, Serialize};

/// Tokens kept from the beginning by head+tail truncation at 512: 128 + 382 + two special tokens
/// (Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?", section 5.3.1).
pub const DEFAULT_HEAD: usize = 128;

/// Which tokens are kept where a text is longer than the limit; special tokens always are.
///
/// A pair shares the limit longest-first in every policy, as `truncation="longest_first"` of `transformers`:
/// only the longer text is cut while that is enough, else both get half (an odd token goes to the longer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Keep the beginning (`truncation_side="right"`).
    #[default]
    Right,
    /// Keep the end (`truncation_side="left"`).
    Left,
    /// Keep `head` tokens of the beginning, and of the end what is left of the limit.
    HeadTail {
        /// Tokens from the beginning, special tokens not counted.
        #[serde(default = "default_head")]
        head: usize,
    },
}

fn default_head() -> usize {
    DEFAULT_HEAD
}

impl Truncation {
    /// Head+tail with [`DEFAULT_HEAD`] tokens of head.
    pub fn head_tail() -> Self {
        Self::HeadTail { head: DEFAULT_HEAD }
    }

    /// Cuts `ids` down to `budget` tokens.
    pub(crate) fn cut(self, ids: &mut Vec<u32>, budget: usize) {
        let Some(excess) = ids.len().checked_sub(budget).filter(|excess| *excess > 0) else {
            return;
        };
        match self {
            Self::Right => ids.truncate(budget),
            Self::Left => drop(ids.drain(..excess)),
            Self::HeadTail { head } => {
                let head = head.min(budget);
                drop(ids.drain(head..head + excess));
            }
        }
    }
}

/// How many tokens of two texts fit into `budget`, longest-first.
///
/// The arithmetic of `truncate_encodings` in the `tokenizers` crate (utils/truncation.rs, `LongestFirst`), since
/// the removal loop of `transformers` and it must agree to the token.
pub(crate) fn share_longest_first(first: usize, second: usize, budget: usize) -> (usize, usize) {
    if first.saturating_add(second) <= budget {
        return (first, second);
    }
    let shorter = first.min(second);
    let (for_shorter, for_longer) =
        if shorter <= budget / 2 { (shorter, budget - shorter) } else { (budget / 2, budget - budget / 2) };
    if first > second { (for_longer, for_shorter) } else { (for_shorter, for_longer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token-by-token removal from the longer text, the definition of longest-first.
    fn remove_one_by_one(mut first: usize, mut second: usize, budget: usize) -> (usize, usize) {
        while first + second > budget {
            if first > second {
                first -= 1;
            } else {
                second -= 1;
            }
        }
        (first, second)
    }

    #[test]
    fn longest_first_keeps_what_removal_one_by_one_keeps() {
        for budget in 0..12 {
            for first in 0..16 {
                for second in 0..16 {
                    let (a, b) = share_longest_first(first, second, budget);
                    let (c, d) = remove_one_by_one(first, second, budget);
                    assert!(a <= first && b <= second);
                    assert_eq!(a + b, c + d, "{first} {second} {budget}");
                    // The two definitions differ only in which text gets the odd token of an even split.
                    assert!(a.abs_diff(c) <= 1, "{first} {second} {budget}: {a} {c}");
                }
            }
        }
    }

    #[test]
    fn policies_keep_the_ends_they_name() {
        let ids: Vec<u32> = (0..600).collect();
        let cut = |policy: Truncation, budget| {
            let mut kept = ids.clone();
            policy.cut(&mut kept, budget);
            kept
        };
        assert_eq!(cut(Truncation::Right, 3), [0, 1, 2]);
        assert_eq!(cut(Truncation::Left, 3), [597, 598, 599]);
        let head_tail = cut(Truncation::head_tail(), 510);
        assert_eq!(head_tail[..128], ids[..128]);
        assert_eq!(head_tail[128..], ids[600 - 382..]);
        assert_eq!(cut(Truncation::head_tail(), 5), [0, 1, 2, 3, 4]);
        assert_eq!(cut(Truncation::HeadTail { head: 0 }, 2), [598, 599]);
        assert_eq!(cut(Truncation::head_tail(), 600), ids);
    }

    #[test]
    fn settings_are_written_in_snake_case() {
        let json = serde_json::to_string(&[Truncation::Right, Truncation::head_tail()]).unwrap();
        assert_eq!(json, r#"["right",{"head_tail":{"head":128}}]"#);
        let read: Truncation = serde_json::from_str(r#"{"head_tail":{}}"#).unwrap();
        assert_eq!(read, Truncation::head_tail());
    }
}
