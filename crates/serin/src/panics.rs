//! Panics, as users see them: not at all where they are caught and become errors, else as one line.
//!
//! `tokenizers` and `parquet` panic on some broken files; the crates around them turn that into errors of the file. The
//! standard library's message would be printed before that. So nothing is printed when a panic begins; it is remembered,
//! and told once it has come all the way up.

use std::panic::{UnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// The exit code of Rust programs that panic.
const PANICKED: u8 = 101;

/// What the last panic said, and where.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs the program; a panic that nobody caught is told in one line. With `RUST_BACKTRACE` all are told, as usual.
pub fn guarded(program: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value.is_empty() || value == "0") {
        set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("no message");
            let place = panic.location().map_or(String::new(), |place| format!(" ({place})"));
            let said = format!("{}{place}", message.replace('\n', " "));
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        }));
    }
    catch_unwind(program).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(said) = last {
            eprintln!(
                "internal error: {said}\nhint: this is a bug, please report it; RUST_BACKTRACE=1 shows where it comes from"
            );
        }
        ExitCode::from(PANICKED)
    })
}
