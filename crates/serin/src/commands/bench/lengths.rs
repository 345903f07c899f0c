//! Made-up texts as long as IMDB's.

use serin_model::{ModelConfig, Target};
use serin_train::Examples;

/// Tokens of IMDB's training texts with RoBERTa's tokenizer, cut at 512: the shortest, 31 quantiles, and the longest.
const QUANTILES: [f64; 33] = [
    13.0, 71.0, 91.0, 114.0, 134.0, 144.0, 150.0, 156.0, 161.75, 167.0, 174.0, 180.0, 188.0, 196.0, 204.0, 214.0,
    224.0, 235.0, 248.0, 262.0, 279.0, 298.0, 318.0, 341.0, 368.0, 399.5, 434.0, 478.0, 512.0, 512.0, 512.0, 512.0,
    512.0,
];

/// `count` lengths spread evenly over the distribution, shuffled, none above `most`.
pub fn like_imdb(count: usize, most: usize) -> Vec<usize> {
    let length = |index: usize| {
        let at = (index as f64 + 0.5) / count as f64 * (QUANTILES.len() - 1) as f64;
        let (low, share) = (at as usize, at.fract());
        let high = (low + 1).min(QUANTILES.len() - 1);
        let length = QUANTILES[low] + share * (QUANTILES[high] - QUANTILES[low]);
        (length.round() as usize).clamp(1, most)
    };
    let mut lengths: Vec<usize> = (0..count).map(length).collect();
    let mut state = 0u64;
    // Fisher and Yates.
    for last in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lengths.swap(last, (state >> 33) as usize % (last + 1));
    }
    lengths
}

/// Lengths like IMDB's that together are `tokens`, as near as they come.
pub fn filling(tokens: usize, most: usize) -> Vec<usize> {
    let count = (tokens as f64 / 267.0).ceil() as usize;
    let mut rest = tokens;
    let mut lengths = like_imdb(count.max(1) * 2, most);
    lengths.retain_mut(|length| {
        *length = (*length).min(rest);
        rest -= *length;
        *length > 0
    });
    lengths
}

/// Examples of these lengths, of tokens from all over the vocabulary.
pub fn examples(config: &ModelConfig, lengths: &[usize]) -> Examples {
    let mut examples = Examples::default();
    for (index, &length) in lengths.iter().enumerate() {
        let ids = ids(config, index, length);
        examples.push(&ids, &vec![0; length], length, Target::Class((index % config.labels.len()) as u32));
    }
    examples
}

/// Token ids from all over the vocabulary, the padding token apart.
pub fn ids(config: &ModelConfig, seed: usize, length: usize) -> Vec<u32> {
    let vocab = config.vocab as u64;
    let id = |position: usize| {
        let id = ((seed as u64 * 4_099 + position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % vocab;
        if id == u64::from(config.pad_token) { (id + 1) % vocab } else { id }
    };
    (0..length).map(|position| id(position) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_imdbs_mean_and_longest() {
        let lengths = like_imdb(64 * 4, 512);
        let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
        assert!((mean - 267.4).abs() < 1.5, "{mean}");
        assert_eq!((lengths.iter().max(), lengths.iter().all(|&length| length >= 13)), (Some(&512), true));
        assert!(like_imdb(64, 128).iter().all(|&length| length <= 128));
    }

    #[test]
    fn filling_gives_the_very_number_of_tokens() {
        for tokens in [1, 31, 4096, 10_000] {
            assert_eq!(filling(tokens, 512).iter().sum::<usize>(), tokens);
        }
    }
}
