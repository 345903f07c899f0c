//! What the yardstick of `serin bench` measures with really moves the bytes that it counts.

mod support;

use serin_cuda::ceiling::{Reading, pinned_copy};

/// More than a grid reads at once, and no multiple of it.
const BYTES: usize = (1 << 18) + 4096 + 48;

#[test]
fn every_word_is_read_in_every_pass_and_copied() {
    support::on_every_device(|cuda| {
        for passes in [1, 5] {
            let words = u64::from(passes) * BYTES as u64 / 4;
            let mut reading = Reading::new(cuda, BYTES, true).unwrap();
            assert!(reading.read(cuda, passes).unwrap() > 0.0);
            assert_eq!(reading.words_read(cuda).unwrap(), words);
            // From now on the copy is read.
            assert!(reading.copy(cuda).unwrap().unwrap() > 0.0);
            reading.read(cuda, passes).unwrap();
            assert_eq!(reading.words_read(cuda).unwrap(), words);
        }
        assert!(Reading::new(cuda, BYTES, false).unwrap().copy(cuda).unwrap().is_none());
        assert!(cuda.shared_cache() >= 64 << 10);
        assert!(pinned_copy(cuda, BYTES).unwrap().is_none_or(|speed| speed > 0.0));
    });
}
