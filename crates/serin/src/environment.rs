//! Every environment variable that Serin itself reads; those of the Hub are in `serin_checkpoint::hub::environment`.

use std::path::PathBuf;

pub use serin_cuda::{SERIN_CUBLAS, SERIN_CUDA_GRAPHS, SERIN_NVRTC};

/// Uses no instruction set above this one: `portable`, `neon`, `avx2`, `avx512`, `avx512-bf16` or `amx`.
pub const SERIN_CPU_ISA: &str = "SERIN_CPU_ISA";

/// Where trunk caches, compiled GPU kernels and the shipped model lie; by default `serin` in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`).
pub const SERIN_CACHE: &str = "SERIN_CACHE";

/// Set by users who want a backtrace under an unexpected error; read by the standard library.
pub const RUST_BACKTRACE: &str = "RUST_BACKTRACE";

/// The folder for what Serin keeps between runs; `None` where no variable says where the user's home is.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(SERIN_CACHE).or_else(|| {
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
        Some(base.join("serin"))
    })
}
