//! Random numbers that are the same on every platform and in every version.
//!
//! [`mix`] makes a random number a function of where it is used: dropout, masking and fresh weights hash their place
//! and need no state. [`Xoshiro256`] is a stream, for shuffles.
//!
//! xoshiro256++ seeded by splitmix64 (Blackman & Vigna, <https://prng.di.unimi.it/>); bounded numbers by Lemire's
//! multiplication with rejection ("Fast Random Integer Generation in an Interval", 2019). Splits and epoch orders are
//! part of what a resumed run must reproduce, so the generator is fixed here and not left to a dependency.

/// What SplitMix64 adds to its counter: 2^64 divided by the golden ratio.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What SplitMix64 (Steele et al. 2014) returns with its counter at `value`: a bijection whose output passes for random.
///
/// A key of several numbers is hashed by turns: `mix(mix(mix(seed) ^ step) ^ place)`.
#[inline(always)]
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A draw as a number in [0, 1), from its upper 53 bits.
#[inline]
pub fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

/// SplitMix64 as a generator: used to expand seeds.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(GAMMA);
        drawn
    }
}

/// xoshiro256++: a stream of random numbers.
#[derive(Clone, Debug)]
pub struct Xoshiro256([u64; 4]);

impl Xoshiro256 {
    /// Independent streams for one seed: `purpose` keeps splits, samples and epochs apart, `index` counts within one.
    pub fn new(seed: u64, purpose: u64, index: u64) -> Self {
        let mut state = SplitMix64(seed);
        let mixed = state.next() ^ SplitMix64(purpose).next().rotate_left(21) ^ SplitMix64(!index).next();
        let mut expand = SplitMix64(mixed);
        Self([expand.next(), expand.next(), expand.next(), expand.next()])
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "a stream without an end is no use as an iterator")]
    pub fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0..bound`; `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(bound);
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(self.next()) * u128::from(bound);
        }
        (product >> 64) as u64
    }

    /// Fisher-Yates, from the end.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_the_published_sequence() {
        // Rosetta Code, "Pseudo-random numbers/Splitmix64", seed 1234567.
        let mut generator = SplitMix64(1_234_567);
        let first: Vec<u64> = (0..5).map(|_| generator.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn xoshiro256_plus_plus_gives_the_published_sequence() {
        // rand_xoshiro's vector, computed with the authors' C code from the state 1, 2, 3, 4.
        let mut generator = Xoshiro256([1, 2, 3, 4]);
        let first: Vec<u64> = (0..6).map(|_| generator.next()).collect();
        assert_eq!(
            first,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386,
                9_228_616_714_210_784_205,
                9_973_669_472_204_895_162
            ]
        );
    }

    #[test]
    fn bounded_numbers_are_uniform() {
        let mut generator = Xoshiro256::new(1, 2, 3);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[generator.below(7) as usize] += 1;
        }
        // Standard deviation of one count is 93: six of them.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 560), "{counts:?}");
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = |purpose, index| Xoshiro256::new(42, purpose, index).next();
        let values = [first(1, 0), first(1, 1), first(2, 0), first(2, 1), first(0, 0)];
        let distinct: std::collections::BTreeSet<u64> = values.into();
        assert_eq!(distinct.len(), values.len());
    }
}
