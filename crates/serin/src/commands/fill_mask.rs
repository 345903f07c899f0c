//! `serin fill-mask`.

use super::Ended;
use crate::args::FillMaskArgs;
use crate::terminal::DownloadBars;
use anyhow::Context;
use serin::{ClassifierOptions, MaskFiller, PretrainedOptions};
use std::io::{BufRead, Write};

/// Fills the masks of every text; a text that has none ends it, with its number.
pub fn run(args: &FillMaskArgs, quiet: bool) -> anyhow::Result<Ended> {
    let pretrained = PretrainedOptions { revision: args.revision.clone(), ..PretrainedOptions::default() };
    let options = ClassifierOptions { pretrained, device: args.device.options() };
    let (model, texts) = args.model_and_texts();
    let mut filler = MaskFiller::open(&model, &options, &DownloadBars::new(quiet))
        .map_err(|error| args.perhaps_a_text(&model, error))?;
    let mut out = std::io::stdout().lock();
    let mut fill = |number: usize, text: &str| -> anyhow::Result<()> {
        let filled = filler.fill(text, args.top_k).with_context(|| format!("text {number}"))?;
        Ok(writeln!(out, "{}", serde_json::to_string(&filled)?)?)
    };
    if texts.is_empty() {
        for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
            let line = line.with_context(|| format!("standard input, line {number}"))?;
            if !line.trim().is_empty() {
                fill(number, &line)?;
            }
        }
    } else {
        for (number, text) in (1..).zip(&texts) {
            fill(number, text)?;
        }
    }
    Ok(Ended::Well)
}
