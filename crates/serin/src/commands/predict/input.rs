//! Where the texts come from: arguments, files or standard input, all as rows.

use crate::args::PredictArgs;
use crate::commands::dataset;
use arrow_schema::SchemaRef;
use serde_json::json;
use serin::data::{Columns, Format, LabelUse, RowReader, Source, Split, scan_schema};
use serin::{SerinError, data::DataError};
use std::io::{Cursor, IsTerminal, stdin};

/// Rows to be predicted.
pub struct Input {
    /// The files, where it is files.
    pub source: Option<Source>,
    /// The rows.
    pub reader: RowReader,
    /// All their columns.
    pub schema: SchemaRef,
    /// The columns with the texts.
    pub columns: Columns,
}

impl PredictArgs {
    /// The files behind --file.
    pub fn source(&self, quiet: bool) -> Result<Option<Source>, SerinError> {
        match self.file.as_slice() {
            [] => Ok(None),
            files => {
                let paths = dataset::locate_all(files, quiet)?;
                Ok(Some(Source::resolve(&paths, Split::Test, self.reading.format)?))
            }
        }
    }
}

impl Input {
    /// Opens what was named.
    pub fn open(args: &PredictArgs, source: Option<Source>) -> Result<Input, SerinError> {
        let options = args.reading.options();
        let (reader, schema) = match &source {
            Some(source) => (RowReader::open(source, &options)?, scan_schema(source, &options)?),
            None => {
                let reader = if args.texts.is_empty() { standard_input(args)? } else { arguments(&args.texts)? };
                let schema = reader.schema();
                (reader, schema)
            }
        };
        if source.is_some() && reader.columns().is_empty() {
            return Err(DataError::Empty { path: reader.path().to_owned(), hint: "" }.into());
        }
        let columns = match &args.texts {
            // Its only column is the text, whatever flags say of others.
            texts if !texts.is_empty() => Columns::find(&reader, &Default::default(), LabelUse::Ignored)?,
            _ => Columns::find(&reader, &args.reading.columns(), LabelUse::Ignored)?,
        };
        Ok(Input { source, reader, schema, columns })
    }
}

fn standard_input(args: &PredictArgs) -> Result<RowReader, DataError> {
    if stdin().is_terminal() {
        eprintln!("Reading texts from the keyboard, one a line; Ctrl-D ends.");
    }
    let format = args.reading.format.unwrap_or(Format::PlainText);
    RowReader::from_reader(Box::new(stdin()), "<stdin>", format, &args.reading.options())
}

/// Texts as lines of JSON, which may hold any character.
fn arguments(texts: &[String]) -> Result<RowReader, DataError> {
    let lines: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    RowReader::from_reader(Box::new(Cursor::new(lines)), "<arguments>", Format::JsonLines, &Default::default())
}
