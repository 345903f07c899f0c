//! What a download tells its caller, so that a binary can draw a bar.

/// Listens to downloads; calls come in order from one thread.
pub trait Progress {
    /// A file begins, or begins anew after the server could not resume it. `total` is its size in bytes.
    fn start(&self, name: &str, total: Option<u64>);
    /// Bytes of the current file that are here now, those of an earlier, interrupted run included.
    fn advance(&self, bytes: u64);
    /// The current file is complete and checked.
    fn finish(&self);
    /// Something the user should know: a retry, a lock, the use of an older copy.
    fn notice(&self, message: &str);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
    fn notice(&self, _message: &str) {}
}
