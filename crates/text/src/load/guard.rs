//! A panic of the `tokenizers` crate on hostile files or text becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `call`; a panic inside it is an error like any other.
///
/// The crate indexes and unwraps on what it read (a precompiled character map with a bad offset, for one), and
/// its values are not changed by a call that failed, or are dropped by the caller.
pub(crate) fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown failure");
            Err(format!("the tokenizers library failed: {message}"))
        }
    }
}
