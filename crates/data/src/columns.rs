//! Which columns hold the text, the second text of a pair, and the label.

use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, Location};
use crate::rows::{Row, RowReader};

/// Names for a text column, the likeliest first.
const TEXT_NAMES: [&str; 5] = ["text", "sentence", "review", "content", "tweet"];
/// Names for the two columns of a pair (GLUE's).
const PAIR_NAMES: [(&str, &str); 3] =
    [("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2")];
/// Names for a label column, the likeliest first.
const LABEL_NAMES: [&str; 7] = ["label", "labels", "sentiment", "category", "target", "class", "score"];

/// What the user says about columns.
#[derive(Clone, Debug, Default)]
pub struct ColumnOptions {
    /// `--text-column`
    pub text: Option<String>,
    /// `--text-pair-column`
    pub pair: Option<String>,
    /// `--label-column`
    pub label: Option<String>,
    /// `--label-columns a,b,c`: one column of 0 and 1 per label.
    pub labels: Vec<String>,
    /// `--label-delimiter`: what separates several labels in one cell.
    pub label_delimiter: Option<String>,
}

/// The columns of a dataset that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The labels.
    pub label: LabelColumns,
}

/// Where labels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelColumns {
    /// Nowhere.
    None,
    /// In one column.
    One(String),
    /// In one column of 0 and 1 per label.
    Flags(Vec<String>),
}

impl LabelColumns {
    /// Where a row's label is: its cell, or the row where it is in several.
    pub(crate) fn location(&self, row: &Row) -> Location {
        match self {
            Self::One(column) => row.location().with_column(column),
            Self::None | Self::Flags(_) => row.location(),
        }
    }
}

/// Whether labels are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelUse {
    /// A dataset without labels is an error: to train and to evaluate.
    #[default]
    Required,
    /// Labels are read where there are any; -1 and empty cells are no label.
    Optional,
    /// Labels are not looked at: to predict.
    Ignored,
}

impl Columns {
    /// Finds the columns, or checks the named ones.
    ///
    /// # Errors
    /// A named column that is not there, no recognisable text column, or no label column where one is needed.
    pub fn find(reader: &RowReader, options: &ColumnOptions, label_use: LabelUse) -> Result<Self, DataError> {
        let search = Search { path: reader.path(), available: reader.columns() };
        let (text, pair) = search.texts(options)?;
        let label = search.labels(options, label_use, &text, pair.as_deref())?;
        Ok(Self { text, pair, label })
    }
}

struct Search<'a> {
    path: &'a Path,
    available: &'a [String],
}

impl Search<'_> {
    fn missing(&self, what: String, hint: &str) -> DataError {
        let mut available: Vec<String> = self.available.iter().take(50).map(|name| format!("`{name}`")).collect();
        if self.available.len() > available.len() {
            available.push(format!("... ({} in all)", self.available.len()));
        }
        DataError::MissingColumn {
            at: Location::file(Arc::from(self.path)),
            what: what.into(),
            available: available.join(", ").into(),
            hint: hint.into(),
        }
    }

    /// The column of exactly this name, else the only one that differs in case alone.
    fn column(&self, name: &str) -> Option<String> {
        if self.available.iter().any(|column| column == name) {
            return Some(name.to_owned());
        }
        let mut same = self.available.iter().filter(|column| column.eq_ignore_ascii_case(name));
        match (same.next(), same.next()) {
            (Some(column), None) => Some(column.clone()),
            _ => None,
        }
    }

    fn named(&self, name: &str, flag: &str) -> Result<String, DataError> {
        self.column(name)
            .ok_or_else(|| self.missing(format!("there is no column `{name}`"), &format!("name one with {flag}")))
    }

    fn texts(&self, options: &ColumnOptions) -> Result<(String, Option<String>), DataError> {
        let pair = options.pair.as_deref();
        let pair = pair.map(|name| self.named(name, "--text-pair-column")).transpose()?;
        if let Some(name) = &options.text {
            return Ok((self.named(name, "--text-column")?, pair));
        }
        if pair.is_none() {
            let both = |(first, second)| Some((self.column(first)?, self.column(second)?));
            if let Some((first, second)) = PAIR_NAMES.into_iter().find_map(both) {
                return Ok((first, Some(second)));
            }
        }
        let free = |name: &&str| self.column(name).filter(|column| Some(column) != pair.as_ref());
        let found = TEXT_NAMES.iter().find_map(free);
        match (found, self.available) {
            (Some(name), _) => Ok((name, pair)),
            (None, [only]) if pair.is_none() => Ok((only.clone(), None)),
            _ => Err(self.missing(
                format!("no text column found (looked for {})", TEXT_NAMES.join(", ")),
                "name it with --text-column (and --text-pair-column for pairs); if the first row is no header, pass \
                 --no-header",
            )),
        }
    }

    fn labels(
        &self,
        options: &ColumnOptions,
        label_use: LabelUse,
        text: &str,
        pair: Option<&str>,
    ) -> Result<LabelColumns, DataError> {
        if label_use == LabelUse::Ignored {
            return Ok(LabelColumns::None);
        }
        if !options.labels.is_empty() {
            let named = options.labels.iter().map(|name| self.named(name, "--label-columns"));
            return Ok(LabelColumns::Flags(named.collect::<Result<_, _>>()?));
        }
        if let Some(name) = &options.label {
            return Ok(LabelColumns::One(self.named(name, "--label-column")?));
        }
        let free = |column: &String| column != text && Some(column.as_str()) != pair;
        match LABEL_NAMES.iter().find_map(|name| self.column(name).filter(free)) {
            Some(name) => Ok(LabelColumns::One(name)),
            None if label_use == LabelUse::Optional => Ok(LabelColumns::None),
            None => Err(self.missing(
                format!("no label column found (looked for {})", LABEL_NAMES.join(", ")),
                "name it with --label-column (or --label-columns a,b,c for one column of 0 and 1 per label)",
            )),
        }
    }
}
