//! Dropout masks as a function of where they are, so that forward, backward, any thread and any resumed run agree.
//!
//! A mask bit depends on (seed, step, layer, site, row, column) and on nothing else. Rows are keyed with a 64-bit mix
//! (SplitMix64, Steele et al. 2014); along a row one 32-bit hash (`lowbias32`, C. Wellons, "Prospecting for hash
//! functions", 2018) gives the 16-bit draws of two neighbouring columns, which vectorises on every instruction set.

use serin_random::mix;

/// Where in the network a mask is drawn: two sites never share their random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutSite {
    /// After the embedding's layer norm.
    Embedding,
    /// On the attention probabilities.
    AttentionProbabilities,
    /// On the attention block's output, before the residual.
    AttentionOutput,
    /// On the feed-forward block's output, before the residual.
    FeedForwardOutput,
    /// Before the head's dense layer.
    HeadInput,
    /// Before the head's last layer.
    HeadOutput,
}

/// A dropout to apply: which draws to drop, and the key of this step, layer and site.
///
/// The probability is quantised to 1/65536, and the scale is the exact inverse of the quantised keep probability, so the
/// expectation is exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// A draw in `0..65536` below this is dropped.
    pub threshold: u32,
    /// What kept elements are multiplied by: `65536 / (65536 - threshold)`.
    pub scale: f32,
    /// The key of (seed, step, layer, site).
    pub key: u64,
    /// Added to the row index: where this buffer's first row lies in the whole batch.
    pub first_row: u64,
}

impl Dropout {
    /// The dropout with `probability` at a place of the network; `None` when nothing would be dropped.
    ///
    /// `probability` is clamped to [0, 65535/65536].
    pub fn new(probability: f32, seed: u64, step: u64, layer: u32, site: DropoutSite) -> Option<Dropout> {
        let threshold = (f64::from(probability) * 65536.0).round().clamp(0.0, 65535.0) as u32;
        if threshold == 0 {
            return None;
        }
        let place = (u64::from(layer) << 8) | site as u64;
        let key = mix(mix(mix(seed) ^ step) ^ place);
        Some(Dropout { threshold, scale: (65536.0 / (65536.0 - f64::from(threshold))) as f32, key, first_row: 0 })
    }

    /// The same dropout for a buffer that starts at row `first_row` of the batch.
    pub fn starting_at(self, first_row: u64) -> Dropout {
        Dropout { first_row, ..self }
    }

    /// The key of a row of the buffer: what [`draws`] takes.
    #[inline(always)]
    pub fn row_key(&self, row: u64) -> u32 {
        (mix(self.key ^ (self.first_row + row).wrapping_mul(0xd134_2543_de82_ef95)) >> 32) as u32
    }
}

/// Whether `dropout` keeps the element at (`row`, `column`) of its buffer: the definition that every backend follows.
///
/// For attention probabilities, the row is `(sequence * heads + head) << 32 | query` with positions inside the sequence
/// (`first_row` is then `first_sequence * heads << 32`), and the column is the key's position.
pub fn keep(dropout: &Dropout, row: u64, column: u32) -> bool {
    let both = draws(dropout.row_key(row), column / 2);
    let draw = if column.is_multiple_of(2) { both & 0xffff } else { both >> 16 };
    draw >= dropout.threshold
}

/// The two 16-bit draws of columns `2 * pair` (low half) and `2 * pair + 1` (high half).
#[inline(always)]
pub fn draws(row_key: u32, pair: u32) -> u32 {
    let mut x = row_key ^ pair.wrapping_mul(0x9e37_79b9);
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_share(dropout: &Dropout, rows: u64, columns: u32) -> f64 {
        let kept = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let kept = kept.filter(|&(row, column)| keep(dropout, row, column)).count();
        kept as f64 / (rows * u64::from(columns)) as f64
    }

    #[test]
    fn the_share_kept_is_the_keep_probability() {
        for (probability, rows) in [(0.1, 4000), (0.5, 4000), (0.9, 4000)] {
            let dropout = Dropout::new(probability, 42, 7, 3, DropoutSite::AttentionOutput).unwrap();
            // Standard error of a share over 4000 * 250 draws is below 0.0005: allow five of them.
            let deviation = (kept_share(&dropout, rows, 250) - f64::from(1.0 - probability)).abs();
            assert!(deviation < 0.0025, "{probability}: off by {deviation}");
        }
    }

    #[test]
    fn masks_of_neighbours_in_every_direction_are_independent() {
        let mask = |seed, step, layer, site, row| -> Vec<bool> {
            let dropout = Dropout::new(0.5, seed, step, layer, site).unwrap();
            (0..4096).map(|column| keep(&dropout, row, column)).collect()
        };
        let base = mask(1, 1, 1, DropoutSite::AttentionOutput, 1);
        for other in [
            mask(2, 1, 1, DropoutSite::AttentionOutput, 1),
            mask(1, 2, 1, DropoutSite::AttentionOutput, 1),
            mask(1, 1, 2, DropoutSite::AttentionOutput, 1),
            mask(1, 1, 1, DropoutSite::FeedForwardOutput, 1),
            mask(1, 1, 1, DropoutSite::AttentionOutput, 2),
        ] {
            let agree = base.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / 4096.0;
            // Standard error 0.0078.
            assert!((agree - 0.5).abs() < 0.04, "agreement {agree}");
        }
        let pairs = base.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64 / 4095.0;
        assert!((pairs - 0.5).abs() < 0.04, "neighbouring columns agree {pairs}");
    }

    #[test]
    fn a_buffer_that_starts_later_sees_the_rows_of_the_whole_batch() {
        let whole = Dropout::new(0.3, 5, 0, 0, DropoutSite::Embedding).unwrap();
        let part = whole.starting_at(10);
        assert!((0..100).all(|column| keep(&whole, 12, column) == keep(&part, 2, column)));
    }

    #[test]
    fn nothing_is_dropped_at_probability_zero() {
        assert_eq!(Dropout::new(0.0, 1, 1, 1, DropoutSite::Embedding), None);
    }
}
