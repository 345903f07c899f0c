//! A few predictions for eyes.

use super::super::scoring::is_defined;
use crate::terminal::one_line;
use serin::{Classifier, SerinError};
use std::io::{self, Write, stdout};

/// Predicts a few texts and prints a line each: label, score, text, and whether it was cut.
pub fn print(classifier: &mut Classifier, texts: &[String], raw_scores: bool) -> anyhow::Result<()> {
    let encoded = texts.iter().map(|text| classifier.tokenizer().encode(text, None, classifier.text_settings()));
    let encoded = encoded.collect::<Result<Vec<_>, _>>().map_err(SerinError::from)?;
    let logits = classifier.logits(&encoded)?;
    let rows: Vec<Line> = texts
        .iter()
        .zip(&encoded)
        .zip(logits.chunks_exact(classifier.labels().len()))
        .map(|((text, encoded), logits)| {
            let prediction = classifier.decide(logits, encoded);
            let defined = is_defined(&prediction);
            let raw = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let score = if raw_scores { raw } else { prediction.score };
            let cut =
                prediction.truncated.then(|| format!("read {} of {} tokens", encoded.ids.len(), encoded.full_length));
            let label = match prediction.label {
                _ if !defined => "(no prediction)".to_owned(),
                label if label.is_empty() => "(none)".to_owned(),
                label => label,
            };
            Line { label, score: format!("{score:.4}"), text: one_line(text), cut }
        })
        .collect();
    Ok(write(&rows, &mut stdout().lock())?)
}

struct Line {
    label: String,
    score: String,
    text: String,
    cut: Option<String>,
}

fn write(rows: &[Line], out: &mut impl Write) -> io::Result<()> {
    let width = |cell: fn(&Line) -> &String| rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0);
    let (labels, scores) = (width(|row| &row.label), width(|row| &row.score));
    for Line { label, score, text, cut } in rows {
        let cut = cut.as_ref().map_or(String::new(), |cut| format!("  (cut: {cut})"));
        writeln!(out, "{label:<labels$}  {score:>scores$}  {text}{cut}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cut_texts_marked() {
        let line = |label: &str, score: &str, cut: Option<&str>| Line {
            label: label.into(),
            score: score.into(),
            text: "a text".into(),
            cut: cut.map(str::to_owned),
        };
        let mut out = Vec::new();
        write(&[line("positive", "0.9", None), line("né", "-10.25", Some("read 8 of 9 tokens"))], &mut out).unwrap();
        let expected = "positive     0.9  a text\nné        -10.25  a text  (cut: read 8 of 9 tokens)\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn texts_are_shown_in_one_line_of_bounded_length() {
        assert_eq!(one_line("a\nb\u{1b}[2Jc"), "a b [2Jc");
        assert_eq!(one_line(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(one_line(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
