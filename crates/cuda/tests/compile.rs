//! Every kernel compiled by NVRTC for the cards that count, without a card.

use serin_cuda::{CudaError, compile_all};

#[test]
fn every_kernel_compiles_for_every_generation_of_cards() {
    // Ampere (A100), Hopper (H100, H200), Blackwell (B200).
    for architecture in [80, 90, 100] {
        match compile_all(architecture) {
            Ok(programs) => eprintln!("sm_{architecture}: {programs} programs"),
            Err(error @ CudaError::NoLibrary { .. }) => {
                let required = std::env::var_os("SERIN_NVRTC").is_some_and(|folder| !folder.is_empty());
                assert!(!required, "SERIN_NVRTC is set, but {error}");
                eprintln!("skipped: no kernel was compiled: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
