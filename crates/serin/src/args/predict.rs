//! `serin predict`: what can be typed, and what it means.

use clap::Args;

/// Not written yet.
#[derive(Args, Debug)]
pub struct PredictArgs {}
