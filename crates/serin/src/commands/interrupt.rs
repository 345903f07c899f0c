//! Ctrl-C and SIGTERM: the first asks a run to end at a good point, the second ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a run that did not end by itself, as shells report a SIGINT.
const INTERRUPTED: i32 = 130;

/// A flag that the first signal sets, after printing `message`.
pub fn listen(message: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handler = move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("\n{message}");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("note: Ctrl-C ends at once: {error}");
    }
    stop
}
