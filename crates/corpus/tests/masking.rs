//! Masks follow the distribution of `DataCollatorForLanguageModeling`, and depend on where they are alone.

mod support;

use serin_corpus::Masking;

const MASK: u32 = 4;
const VOCABULARY: u32 = 1000;

fn masking(seed: u64, probability: f64) -> Masking {
    Masking::with_ids(seed, probability, MASK, VOCABULARY, vec![0, 1, 2, 3, 4]).unwrap()
}

/// `<s>`, 100 words, `</s>`.
fn sequence() -> Vec<u32> {
    [0].into_iter().chain((0..100).map(|word| 5 + word * 7)).chain([2]).collect()
}

fn masked(masking: &Masking, epoch: u64, index: u64) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let (mut ids, mut positions, mut targets) = (sequence(), Vec::new(), Vec::new());
    masking.apply(epoch, index, &mut ids, &mut positions, &mut targets);
    (ids, positions, targets)
}

/// Fails if `hits` of `draws` with probability `p` is more than five standard deviations off.
fn within(hits: usize, draws: usize, p: f64) {
    let (draws, hits) = (draws as f64, hits as f64);
    let deviation = (draws * p * (1.0 - p)).sqrt();
    assert!((hits - draws * p).abs() <= 5.0 * deviation, "{hits} of {draws}, expected {} ± {deviation}", draws * p);
}

#[test]
fn the_shares_are_those_of_bert() {
    let masking = masking(42, 0.15);
    let original = sequence();
    let (mut chosen, mut mask, mut kept) = (0, 0, 0);
    let mut replacements = [0usize; 10];
    let mut by_position = vec![0usize; original.len()];
    let count = 10_000;
    for index in 0..count {
        let (ids, positions, targets) = masked(&masking, index / 1000, index % 1000);
        chosen += positions.len();
        for (&position, &target) in positions.iter().zip(&targets) {
            let position = position as usize;
            assert_eq!(target, original[position]);
            by_position[position] += 1;
            match ids[position] {
                MASK => mask += 1,
                id if id == target => kept += 1,
                id => replacements[(id * 10 / VOCABULARY) as usize] += 1,
            }
        }
        let changed = (0..ids.len()).filter(|&position| ids[position] != original[position]);
        assert!(changed.into_iter().all(|position| positions.contains(&(position as u32))));
        assert!(positions.is_sorted_by(|a, b| a < b));
    }
    within(chosen, count as usize * 100, 0.15);
    let random: usize = replacements.iter().sum();
    // A random token is the mask token, or the original, one time in a thousand each.
    within(mask, chosen, 0.8 + 0.1 / f64::from(VOCABULARY));
    within(kept, chosen, 0.1 + 0.1 / f64::from(VOCABULARY));
    within(random, chosen, 0.1 - 0.2 / f64::from(VOCABULARY));
    replacements.iter().for_each(|&share| within(share, random, 0.1));
    assert_eq!((by_position[0], by_position[101]), (0, 0), "a special token was chosen");
    by_position[1..101].iter().for_each(|&hits| within(hits, count as usize, 0.15));
}

#[test]
fn special_tokens_are_never_chosen_even_where_all_is() {
    let masking = masking(1, 1.0);
    let mut ids = vec![0, 3, 500, 4, 1, 501, 2];
    let (mut positions, mut targets) = (vec![9], vec![9]);
    masking.apply(0, 0, &mut ids, &mut positions, &mut targets);
    assert_eq!((positions, targets), (vec![9, 2, 5], vec![9, 500, 501]), "appended");
    assert_eq!([ids[0], ids[1], ids[3], ids[4], ids[6]], [0, 3, 4, 1, 2]);
}

#[test]
fn masks_are_new_in_every_epoch_sequence_and_seed_and_else_the_same() {
    let base = masked(&masking(42, 0.5), 3, 7);
    assert_eq!(base, masked(&masking(42, 0.5), 3, 7));
    let choice = |(_, positions, _): &(Vec<u32>, Vec<u32>, Vec<u32>)| -> Vec<bool> {
        (1..101).map(|position| positions.contains(&position)).collect()
    };
    for other in [
        masked(&masking(42, 0.5), 4, 7),
        masked(&masking(42, 0.5), 3, 8),
        masked(&masking(42, 0.5), 7, 3),
        masked(&masking(43, 0.5), 3, 7),
    ] {
        let agree = choice(&base).iter().zip(choice(&other)).filter(|(a, b)| **a == *b).count();
        within(agree, 100, 0.5);
    }
}

#[test]
fn a_tokenizer_gives_the_ids_it_needs() {
    let tokenizer = support::roberta();
    assert_eq!(tokenizer.all_special_ids(), [0, 1, 2, 3, 4]);
    assert_eq!(Masking::new(&tokenizer, 0.15, 1).unwrap().mask_token_id(), 4);
    let bert = support::bert();
    assert_eq!((bert.all_special_ids(), bert.special_around()), (vec![0, 1, 2, 3, 4], (vec![2], vec![3])));
    assert_eq!(Masking::new(&bert, 0.15, 1).unwrap().mask_token_id(), 4);
}

#[test]
fn senseless_settings_are_refused() {
    for probability in [0.0, -0.1, 1.1, f64::NAN] {
        let error = Masking::with_ids(1, probability, 4, 10, vec![]).unwrap_err().to_string();
        assert!(error.contains("mlm_probability"), "{error}");
    }
    assert!(Masking::with_ids(1, 0.15, 4, 0, vec![]).is_err());
}
