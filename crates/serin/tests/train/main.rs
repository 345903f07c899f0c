//! `serin train` as a user runs it: the real binary on tiny models and data.

#[path = "../support/mod.rs"]
mod support;

mod bad_data;
mod bad_model;
mod cache;
mod checks;
mod determinism;
mod disk_full;
mod half_precision;
mod output;
mod presets;
mod problems;
mod resume;
mod settings;
mod stopping;
mod training;
mod weights;
