//! The splits of a run: loaded, aligned in their labels, checked, tokenized.

use super::console::Console;
use super::options::{DataOptions, SelectOn};
use super::sentences;
use crate::error::SerinError;
use serin_data::{DataCheck, DataSpec, Dataset, LabelSet, Split, Target, Truncation, load_dataset, stratified_split};
use serin_text::{EncodeSettings, Tokenizer};
use serin_train::Examples;

/// The datasets of a run.
pub(super) struct Splits {
    pub(super) train: Dataset,
    pub(super) validation: Option<Dataset>,
    pub(super) test: Option<Dataset>,
    /// How the validation data came about, where it was not given.
    pub(super) split_note: Option<String>,
}

/// The tokenized splits, in the same order.
pub(super) struct TokenizedSplits {
    pub(super) train: Examples,
    pub(super) validation: Option<Examples>,
    pub(super) test: Option<Examples>,
}

impl Splits {
    /// Loads what is given; splits validation data off where none is and it is needed.
    pub(super) fn load(options: &DataOptions, select_on: SelectOn, seed: u64) -> Result<Splits, SerinError> {
        let (mut train, shipped_test) = match &options.train {
            Some(spec) => (load_dataset(spec)?, None),
            None => sentences::splits(options.shipped_limit, seed, options.test.is_none())?,
        };
        refuse_one_class(&train)?;
        let aligned = |spec: &DataSpec| {
            let labels = spec.labels.clone().or_else(|| train.labels.clone());
            load_dataset(&DataSpec { labels, problem_type: Some(train.problem_type), ..spec.clone() })
        };
        let mut validation = options.validation.as_ref().map(aligned).transpose()?;
        let test = options.test.as_ref().map(aligned).transpose()?.or(shipped_test);
        if select_on == SelectOn::Test && test.is_none() {
            let hint = "--select-on test needs test data\nhint: give --test-file, or a dataset with a test split";
            return Err(SerinError::Usage(hint.into()));
        }
        let mut split_note = None;
        if validation.is_none() && select_on == SelectOn::Validation {
            let (rest, split) = stratified_split(&train, options.validation_fraction, seed)?;
            split_note = Some(format!(
                "no validation data given: {} of {} training examples ({:.0} %, stratified by label, seed {seed}) are kept \
                 back to select the best epoch",
                split.len(),
                train.len(),
                100.0 * options.validation_fraction
            ));
            (train, validation) = (rest, Some(split));
        }
        Ok(Splits { train, validation, test, split_note })
    }

    /// Label names by id; one for a regression.
    pub(super) fn label_names(&self) -> Vec<String> {
        self.train
            .labels
            .as_ref()
            .map_or_else(|| vec!["LABEL_0".to_owned()], |labels: &LabelSet| labels.names().to_vec())
    }

    /// Tokenizes all splits and prints the data check, truncation included.
    pub(super) fn tokenize(
        &self,
        tokenizer: &Tokenizer,
        text: &EncodeSettings,
        console: &mut dyn Console,
    ) -> Result<TokenizedSplits, SerinError> {
        let mut check = DataCheck::run(&self.train, self.validation.as_ref(), self.test.as_ref());
        let mut encode = |dataset: &Dataset, split: Split| -> Result<Examples, SerinError> {
            let console = std::cell::RefCell::new(&mut *console);
            let progress = |done| console.borrow_mut().count(&format!("tokenizing {split}"), done, dataset.len());
            let examples = Examples::encode(dataset, tokenizer, text, &progress)?;
            check.set_truncated(split, truncation(&examples, text.max_length));
            Ok(examples)
        };
        let train = encode(&self.train, Split::Train)?;
        let validation = self.validation.as_ref().map(|dataset| encode(dataset, Split::Validation)).transpose()?;
        let test = self.test.as_ref().map(|dataset| encode(dataset, Split::Test)).transpose()?;
        console.say(&check.to_string());
        Ok(TokenizedSplits { train, validation, test })
    }
}

fn truncation(examples: &Examples, limit: usize) -> Truncation {
    let cut = (0..examples.len()).filter(|&index| examples.truncated(index)).count();
    let longest = (0..examples.len()).map(|index| examples.full_length(index)).max().unwrap_or(0);
    Truncation { count: cut as u64, longest_tokens: longest as u64, limit: limit as u64 }
}

/// One class teaches nothing: the model would learn to say it always.
fn refuse_one_class(train: &Dataset) -> Result<(), SerinError> {
    let mut classes = train.examples.iter().filter_map(|example| match &example.target {
        Target::Class(class) => Some(*class),
        _ => None,
    });
    let Some(first) = classes.next() else { return Ok(()) };
    if classes.any(|class| class != first) {
        return Ok(());
    }
    let name = train.labels.as_ref().and_then(|labels| labels.name(first)).unwrap_or("?");
    Err(SerinError::Refused(format!(
        "{}: all {} training examples have the label '{name}': there is nothing to tell apart\nhint: is the file sorted \
         by label and cut off, or the wrong column taken? --label-column names another",
        train.name,
        train.len()
    )))
}
