//! The labelled sentences that ship with Serin (CC BY 4.0, see `assets/sentences/README.md`): data for a first try.

use crate::error::SerinError;
use serin_data::{Columns, Dataset, Example, LabelColumns, LabelSet, ProblemType, Target, stratified_split};

const FILES: [&str; 3] = [
    include_str!("../../assets/sentences/amazon_cells_labelled.txt"),
    include_str!("../../assets/sentences/imdb_labelled.txt"),
    include_str!("../../assets/sentences/yelp_labelled.txt"),
];

/// The share of them that is test data.
const TEST_SHARE: f64 = 0.1;

/// What to learn from, and where it is wanted a tenth to report on.
pub(super) fn splits(limit: Option<usize>, seed: u64, test: bool) -> Result<(Dataset, Option<Dataset>), SerinError> {
    let all = dataset(limit, seed)?;
    if !test {
        return Ok((all, None));
    }
    let (train, test) = stratified_split(&all, TEST_SHARE, seed)?;
    Ok((train, Some(test)))
}

/// All 3,000 of them, or a sample of `limit`, with the labels `negative` and `positive`.
fn dataset(limit: Option<usize>, seed: u64) -> Result<Dataset, SerinError> {
    let whole = whole()?;
    match limit {
        Some(limit) if limit < whole.len() => {
            let (_, sample) = stratified_split(&whole, limit as f64 / whole.len() as f64, seed)?;
            Ok(Dataset { fingerprint: format!("{}-{limit}", sample.fingerprint), ..sample })
        }
        _ => Ok(whole),
    }
}

fn whole() -> Result<Dataset, SerinError> {
    let lines = FILES.iter().flat_map(|file| file.split('\n')).filter(|line| !line.is_empty());
    let examples: Vec<Example> = lines.zip(1..).filter_map(|(line, row)| example(line, row)).collect();
    let rows = examples.len() as u64;
    Ok(Dataset {
        examples,
        labels: Some(LabelSet::new(vec!["negative".into(), "positive".into()])?),
        problem_type: ProblemType::SingleLabelClassification,
        name: "sentiment labelled sentences".into(),
        files: Vec::new(),
        columns: Columns { text: "text".into(), pair: None, label: LabelColumns::One("label".into()) },
        rows,
        notes: Vec::new(),
        fingerprint: format!("shipped-sentences-{rows}"),
    })
}

fn example(line: &str, row: u64) -> Option<Example> {
    let (text, label) = line.rsplit_once('\t')?;
    let class = label.trim().parse().ok()?;
    Some(Example { text: text.trim().to_owned(), pair: None, target: Target::Class(class), row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_line_is_an_example_and_the_classes_are_even() {
        let dataset = dataset(None, 1).unwrap();
        assert_eq!(dataset.len(), 3000);
        let positive = dataset.examples.iter().filter(|example| example.target == Target::Class(1)).count();
        assert_eq!(positive, 1500);
        assert!(dataset.examples.iter().all(|example| !example.text.is_empty()));
    }
}
