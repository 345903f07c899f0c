//! Random numbers that are the same on every platform and in every version.
//!
//! xoshiro256++ seeded by splitmix64 (Blackman & Vigna, <https://prng.di.unimi.it/>); bounded numbers by Lemire's
//! multiplication with rejection ("Fast Random Integer Generation in an Interval", 2019). Splits and epoch orders are
//! part of what a resumed run must reproduce, so the generator is fixed here and not left to a dependency.

/// splitmix64: a counter with a strong output mix; used to expand seeds.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// xoshiro256++.
#[derive(Clone, Debug)]
pub(crate) struct Xoshiro256([u64; 4]);

impl Xoshiro256 {
    /// Independent streams for one seed: `purpose` keeps splits, samples and epochs apart, `index` counts within one.
    pub(crate) fn new(seed: u64, purpose: u64, index: u64) -> Self {
        let mut state = SplitMix64(seed);
        let mixed = state.next() ^ SplitMix64(purpose).next().rotate_left(21) ^ SplitMix64(!index).next();
        let mut expand = SplitMix64(mixed);
        Self([expand.next(), expand.next(), expand.next(), expand.next()])
    }

    pub(crate) fn next(&mut self) -> u64 {
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
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(bound);
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(self.next()) * u128::from(bound);
        }
        (product >> 64) as u64
    }

    /// Fisher-Yates, from the end.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
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
