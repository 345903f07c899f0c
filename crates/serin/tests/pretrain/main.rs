//! `serin pretrain` and `serin fill-mask` as a user runs them: the real binary on tiny models and texts.

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "what a run leaves is compared as for `serin train`; its other parts are not used")]
#[path = "../train/training.rs"]
mod training;

mod fill_mask;
mod learning;
mod place;
mod refusals;
mod resume;
