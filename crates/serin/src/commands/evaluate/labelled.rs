//! The labelled rows to measure with: found, and checked to the last row before anything is computed.

use crate::args::EvaluateArgs;
use crate::commands::dataset;
use serin::classifier::data_problem_type;
use serin::data::{
    Columns, DataError, DataFolder, Format, LabelReader, LabelSet, LabelUse, ReadOptions, Row, RowReader, Source, Split,
};
use serin::metrics::TweetEvalTask;
use serin::train::model_target;
use serin::{Classifier, SerinError};
use serin_model::Target;

/// Labelled rows.
pub struct LabelledSource {
    /// The files.
    pub source: Source,
    /// How they are read.
    pub options: ReadOptions,
    /// Their columns.
    pub columns: Columns,
    /// How labels are read.
    labels: LabelReader,
    /// How many rows there are.
    rows: u64,
    /// How many of them are measured on.
    pub sampled: u64,
}

impl LabelledSource {
    /// Finds the data and checks every label in it.
    pub fn open(args: &EvaluateArgs, classifier: &Classifier, quiet: bool) -> Result<LabelledSource, SerinError> {
        let problem_type = data_problem_type(classifier.problem_type());
        if args.data.problem_type.is_some_and(|asked| asked != problem_type) {
            let name = classifier.problem_type().hugging_face_name();
            return Err(SerinError::Refused(format!("--problem-type: the model's is {name}, and it decides")));
        }
        let source = find(args, quiet)?;
        let options = args.data.read_options();
        let reader = RowReader::open(&source, &options)?;
        if reader.columns().is_empty() {
            return Err(DataError::Empty { path: source.path, hint: "" }.into());
        }
        let column_options = args.data.column_options();
        let columns = Columns::find(&reader, &column_options, LabelUse::Required)?;
        let labels = LabelReader::new(
            &columns,
            &column_options,
            LabelReader::class_names(&reader, &columns),
            &args.data.label_map,
            LabelSet::new(classifier.labels().to_vec())?,
            problem_type,
        )?;
        let mut data = LabelledSource { source, options, columns, labels, rows: 0, sampled: 0 };
        data.survey(reader)?;
        data.sampled = args.max_samples.unwrap_or(u64::MAX).min(data.rows);
        Ok(data)
    }

    /// Reads the rows that are measured on, from the first one: at equal distances, since files are often sorted by label.
    pub fn reader(&self) -> Result<impl Iterator<Item = Result<Row, DataError>> + Send + use<>, DataError> {
        let (sampled, rows) = (self.sampled, self.rows);
        let reader = RowReader::open(&self.source, &self.options)?;
        let is_taken = move |row: &Result<Row, DataError>| {
            row.as_ref().map_or(true, |row| is_sampled(row.number(), sampled, rows))
        };
        Ok(reader.filter(is_taken))
    }

    /// The label of a row.
    pub fn target(&self, row: &Row) -> Result<Target, DataError> {
        let target = self.labels.target(row)?;
        model_target(&target).ok_or_else(|| DataError::UnlabelledRow { at: row.location() })
    }

    /// Counts the rows and reads every label.
    fn survey(&mut self, reader: RowReader) -> Result<(), DataError> {
        for row in reader {
            self.labels.survey(&row?)?;
            self.rows += 1;
        }
        if self.rows == 0 {
            let has_header = matches!(self.source.format, Format::Csv | Format::Tsv) && self.options.header;
            let hint = if has_header { ": only a header\nhint: if the line is data, pass --no-header" } else { "" };
            return Err(DataError::Empty { path: self.source.path.clone(), hint });
        }
        Ok(())
    }
}

/// Whether the row of this number, from 1, is one of `sampled` that lie at equal distances among `rows`.
fn is_sampled(number: u64, sampled: u64, rows: u64) -> bool {
    let taken_up_to = |number: u64| u128::from(number) * u128::from(sampled) / u128::from(rows.max(1));
    taken_up_to(number) > taken_up_to(number - 1)
}

fn find(args: &EvaluateArgs, quiet: bool) -> Result<Source, SerinError> {
    let paths = dataset::locate_all(&args.paths, quiet)?;
    let say = |text: &str| {
        if !quiet {
            eprintln!("note: {text}");
        }
    };
    let split = match (args.split, paths.as_slice()) {
        (Some(split), _) => split,
        (None, [folder]) if folder.is_dir() && args.data.reading.format != Some(Format::ClassFolders) => {
            let there = DataFolder::open(folder, args.data.reading.format)?.splits;
            let best =
                [Split::Test, Split::Validation, Split::Train].into_iter().find(|split| there.contains_key(split));
            let best = best.unwrap_or(Split::Test);
            if best != Split::Test {
                say(&format!("{} has no test split; measuring on its {best} split", folder.display()));
            }
            best
        }
        (None, _) => Split::Test,
    };
    let source = Source::resolve(&paths, split, args.data.reading.format)?;
    source.notes.iter().for_each(|text| say(text));
    Ok(source)
}

impl EvaluateArgs {
    /// The TweetEval task: named, known by the data's name, or by its labels in TweetEval's own files.
    pub fn task(&self, source: &Source, labels: &[String]) -> Option<TweetEvalTask> {
        let by_name = || self.paths.iter().find_map(|path| TweetEvalTask::from_name(&path.to_string_lossy()));
        let by_folder = || {
            let parent = source.path.parent().filter(|_| source.format == Format::TweetEval)?;
            TweetEvalTask::from_name(&parent.to_string_lossy())
        };
        let by_labels = || TweetEvalTask::from_labels(labels).filter(|_| source.format == Format::TweetEval);
        self.tweeteval.or_else(by_name).or_else(by_folder).or_else(by_labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_and_is_spread_evenly() {
        for (sampled, rows) in [(1, 1), (1, 7), (3, 7), (7, 7), (10, 25_000), (999, 1000)] {
            let taken: Vec<u64> = (1..=rows).filter(|&number| is_sampled(number, sampled, rows)).collect();
            assert_eq!(taken.len() as u64, sampled);
            let distances = taken.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(distances.into_iter().all(|distance| distance == rows / sampled || distance == rows / sampled + 1));
        }
    }
}
