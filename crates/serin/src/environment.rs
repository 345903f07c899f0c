//! Every environment variable that Serin itself reads; those of the Hub are in `serin_checkpoint::hub::environment`.

/// Uses no instruction set above this one: `portable`, `neon`, `avx2`, `avx512`, `avx512-bf16` or `amx`.
pub const SERIN_CPU_ISA: &str = "SERIN_CPU_ISA";

/// Where trunk caches lie; by default `serin` in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`).
pub const SERIN_CACHE: &str = "SERIN_CACHE";

/// Set by users who want a backtrace under an unexpected error; read by the standard library.
pub const RUST_BACKTRACE: &str = "RUST_BACKTRACE";
