//! Seeded samples: a part of a dataset with every class in proportion, a validation split, the order of an epoch.

use std::collections::BTreeMap;

use crate::dataset::{Dataset, Example};
use crate::error::DataError;
use crate::labels::Target;
use serin_random::Xoshiro256;

/// Purposes of random streams, so that one seed never gives two of them the same numbers.
const SPLIT_STREAM: u64 = 1;
const SAMPLE_STREAM: u64 = 2;
const EPOCH_STREAM: u64 = 3;

/// Splits off `fraction` of the examples for validation, of every class in proportion.
///
/// Class sizes are rounded by largest remainder, so the validation part has `round(fraction × examples)` examples, less
/// where a class would lose its last one to it: every class keeps at least one example to train on. Multi-label and
/// regression data are split at random. Both parts keep the order of the dataset. The same seed gives the same split
/// on every platform.
///
/// # Errors
/// A fraction outside of 0 to 1 (both excluded), or so few examples that one part would be empty.
pub fn stratified_split(dataset: &Dataset, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        let problem = format!("a validation split of {fraction} is not between 0 and 1");
        return Err(DataError::Setting(problem));
    }
    let wanted = (dataset.len() as f64 * fraction).round() as usize;
    let strata = strata(&dataset.examples);
    let mut quotas = quotas(&strata, wanted);
    for (quota, members) in quotas.iter_mut().zip(&strata) {
        *quota = (*quota).min(members.len() - 1);
    }
    let chosen = choose(strata, &quotas, &mut Xoshiro256::new(seed, SPLIT_STREAM, 0), dataset.len());
    let (train, validation): (Vec<_>, Vec<_>) =
        dataset.examples.iter().cloned().zip(chosen).partition(|(_, chosen)| !chosen);
    if train.is_empty() || validation.is_empty() {
        let problem = format!(
            "{} examples are too few to split off {fraction} of them for validation\n\
             hint: give validation data of its own (--validation-file)",
            dataset.len()
        );
        return Err(DataError::Setting(problem));
    }
    let examples = |part: Vec<(Example, bool)>| part.into_iter().map(|(example, _)| example).collect();
    Ok((dataset.with_examples(examples(train)), dataset.with_examples(examples(validation))))
}

/// At most `limit` examples, of every class in proportion, in the order of the dataset.
pub(crate) fn stratified_sample(dataset: &Dataset, limit: usize, seed: u64) -> Vec<Example> {
    let strata = strata(&dataset.examples);
    let quotas = quotas(&strata, limit.min(dataset.len()));
    let chosen = choose(strata, &quotas, &mut Xoshiro256::new(seed, SAMPLE_STREAM, 0), dataset.len());
    let kept = dataset.examples.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    kept.map(|(example, _)| example.clone()).collect()
}

/// The order in which an epoch visits examples: a permutation of `0..len`, by Fisher-Yates in O(len).
///
/// It depends on the three arguments alone, so a resumed run needs no replay to have it back.
pub fn epoch_order(len: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len).collect();
    Xoshiro256::new(seed, EPOCH_STREAM, epoch).shuffle(&mut order);
    order
}

/// The positions of the examples of each class, by class id; all in one where examples have no single class.
fn strata(examples: &[Example]) -> Vec<Vec<usize>> {
    let mut strata: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
    for (position, example) in examples.iter().enumerate() {
        let class = match example.target {
            Target::Class(id) => Some(id),
            Target::Multi(_) | Target::Score(_) | Target::Unlabelled => None,
        };
        strata.entry(class).or_default().push(position);
    }
    strata.into_values().collect()
}

/// How many of each stratum: `wanted` in all, in proportion, rounded by largest remainder; ties go to the first.
fn quotas(strata: &[Vec<usize>], wanted: usize) -> Vec<usize> {
    let total: usize = strata.iter().map(Vec::len).sum();
    let share = |members: &Vec<usize>| members.len() as u128 * wanted as u128;
    let total_wide = (total as u128).max(1);
    let mut quotas: Vec<usize> = strata.iter().map(|members| (share(members) / total_wide) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..strata.len()).collect();
    by_remainder.sort_by_key(|&index| std::cmp::Reverse(share(&strata[index]) % total_wide));
    let left = wanted.saturating_sub(quotas.iter().sum());
    for &index in by_remainder.iter().take(left) {
        quotas[index] += 1;
    }
    quotas
}

/// Marks `quotas[i]` random members of stratum `i` among `len` examples.
fn choose(strata: Vec<Vec<usize>>, quotas: &[usize], random: &mut Xoshiro256, len: usize) -> Vec<bool> {
    let mut chosen = vec![false; len];
    for (mut members, &quota) in strata.into_iter().zip(quotas) {
        random.shuffle(&mut members);
        for &position in members.iter().take(quota) {
            chosen[position] = true;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strata_of(sizes: &[usize]) -> Vec<Vec<usize>> {
        sizes.iter().map(|&size| vec![0; size]).collect()
    }

    #[test]
    fn quotas_follow_the_largest_remainders() {
        // Hamilton's method by hand: shares 1.4, 3.6 and 5.0 of 10.
        assert_eq!(quotas(&strata_of(&[14, 36, 50]), 10), [1, 4, 5]);
        assert_eq!(quotas(&strata_of(&[1, 1, 1]), 2), [1, 1, 0]);
        assert_eq!(quotas(&strata_of(&[5, 5]), 10), [5, 5]);
        assert_eq!(quotas(&strata_of(&[]), 0), [0usize; 0]);
    }

    #[test]
    fn an_epoch_order_is_a_permutation_that_stays_the_same() {
        let order = epoch_order(1000, 42, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());
        assert_eq!(order, epoch_order(1000, 42, 3));
        assert_ne!(order, epoch_order(1000, 42, 4));
        assert_ne!(order, epoch_order(1000, 43, 3));
        assert_eq!(epoch_order(0, 1, 1), [0u32; 0]);
        assert_eq!(epoch_order(1, 1, 1), [0]);
    }

    #[test]
    fn every_permutation_of_three_comes_equally_often() {
        let mut counts: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(epoch_order(3, 7, epoch)).or_default() += 1;
        }
        // Standard deviation 29: six of them.
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1000) < 175), "{counts:?}");
    }
}
