//! Predictions as they are written beside their rows.

use arrow_schema::SchemaRef;
use serin::classifier::data_problem_type;
use serin::data::{self, DataError, LabelSet, PredictedValue, PredictionColumns, ProblemType, Row, RowWriter};
use serin::{Classifier, Prediction, SerinError};

/// The columns that a model's predictions add to rows with the columns of `input`.
pub fn prediction_columns(classifier: &Classifier, input: &SchemaRef) -> Result<PredictionColumns, DataError> {
    let labels = LabelSet::new(classifier.labels().to_vec())?;
    PredictionColumns::new(written_type(classifier), Some(&labels), input)
}

/// A classifier of one label says yes or no to it: a list of one label or none.
fn written_type(classifier: &Classifier) -> ProblemType {
    match data_problem_type(classifier.problem_type()) {
        ProblemType::SingleLabelClassification if classifier.labels().len() == 1 => {
            ProblemType::MultiLabelClassification
        }
        other => other,
    }
}

/// Whether there is a prediction: none where an output is not a finite number.
pub fn is_defined(prediction: &Prediction) -> bool {
    prediction.scores.iter().all(|score| score.is_finite())
}

/// A writer of rows and what a model says of them.
pub struct Recorder {
    writer: RowWriter,
    problem_type: ProblemType,
    raw_scores: bool,
}

impl Recorder {
    /// Writes to `writer`; with `raw_scores` the model's outputs instead of probabilities.
    pub fn new(writer: RowWriter, classifier: &Classifier, raw_scores: bool) -> Recorder {
        Recorder { writer, problem_type: written_type(classifier), raw_scores }
    }

    /// Writes one row, whose text has `full_length` tokens before it is cut; without label and scores where there is no
    /// prediction.
    ///
    /// # Errors
    /// Whatever hinders writing.
    pub fn write(
        &mut self,
        row: &Row,
        full_length: usize,
        logits: &[f32],
        prediction: &Prediction,
    ) -> Result<(), SerinError> {
        let ids = || prediction.label_ids.iter().map(|&id| id as u32);
        let value = match self.problem_type {
            _ if !is_defined(prediction) => PredictedValue::Undefined,
            ProblemType::SingleLabelClassification => PredictedValue::Class(ids().next().unwrap_or_default()),
            ProblemType::MultiLabelClassification => PredictedValue::Labels(ids().collect()),
            ProblemType::Regression => PredictedValue::Score(prediction.score),
        };
        let scores = match (self.problem_type, self.raw_scores) {
            (ProblemType::Regression, _) => Vec::new(),
            (_, true) => logits.to_vec(),
            (_, false) => prediction.scores.clone(),
        };
        let tokens = u32::try_from(full_length).unwrap_or(u32::MAX);
        let written = data::Prediction { value, probabilities: scores, truncated: prediction.truncated, tokens };
        Ok(self.writer.write(row, &written)?)
    }

    /// Rows written, those of an earlier run included.
    pub fn rows(&self) -> u64 {
        self.writer.rows()
    }

    /// Hands what was written to whoever reads along.
    pub fn flush(&mut self) -> Result<(), DataError> {
        self.writer.checkpoint()
    }

    /// Completes the output.
    pub fn finish(self) -> Result<(), DataError> {
        self.writer.finish()
    }
}
