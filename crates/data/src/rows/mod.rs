//! Dataset files as a stream of rows, whatever the format, in constant memory.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub use self::format::Format;
pub use self::row::{Cell, Row};
use crate::error::{DataError, Location};
use crate::resolve::Source;

mod arrow_cell;
pub(crate) mod class_folders;
mod delimited;
mod format;
mod json_lines;
mod json_schema;
mod lines;
pub(crate) mod parquet_file;
mod quote_guard;
mod render;
pub(crate) mod row;
pub(crate) mod text_lines;
pub(crate) mod text_source;

/// How files are read, where a format leaves a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// CSV and TSV: whether the first record names the columns. Otherwise they are `column_1`, `column_2`, ...
    pub header: bool,
    /// CSV and TSV without a header: the columns' names.
    pub column_names: Option<Vec<String>>,
    /// CSV and TSV: whether `"` quotes fields (RFC 4180); otherwise it is a plain character.
    pub quoting: bool,
    /// Whether bytes that are not UTF-8, and NUL, are read as U+FFFD instead of being refused.
    pub lossy: bool,
    /// The longest line of a text file, or record of a CSV file, in bytes.
    pub max_line_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { header: true, column_names: None, quoting: true, lossy: false, max_line_bytes: 64 << 20 }
    }
}

/// The rows of one file, one after the other.
trait FileRows: Send {
    /// The next row, which is the `number`th of the source; `None` at the end.
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError>;
}

/// A file that has been opened and whose columns are known.
struct OpenFile {
    columns: Arc<[String]>,
    label_names: BTreeMap<String, Vec<String>>,
    schema: SchemaRef,
    rows: Box<dyn FileRows>,
}

impl OpenFile {
    /// A file whose columns are all text and carry no label names.
    fn new(columns: Arc<[String]>, rows: Box<dyn FileRows>) -> Self {
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        Self { columns, label_names: BTreeMap::new(), schema: Arc::new(Schema::new(fields)), rows }
    }
}

/// The rows of a [`Source`], file after file, in constant memory. Ends after the first error.
pub struct RowReader {
    path: PathBuf,
    format: Format,
    options: ReadOptions,
    waiting: VecDeque<PathBuf>,
    open: OpenFile,
    first: PathBuf,
    rows: u64,
    ended: bool,
}

impl RowReader {
    /// Opens the first file of a source.
    ///
    /// # Errors
    /// A file that cannot be opened, or whose beginning (header, first line, Parquet footer) is broken.
    pub fn open(source: &Source, options: &ReadOptions) -> Result<Self, DataError> {
        let mut waiting: VecDeque<PathBuf> = source.files.clone().into();
        let Some(first) = waiting.pop_front() else {
            return Err(DataError::Setting("no data file was given".into()));
        };
        let open = open_file(&first, source.format, options)?;
        Ok(Self {
            path: source.path.clone(),
            format: source.format,
            options: options.clone(),
            waiting,
            open,
            first,
            rows: 0,
            ended: false,
        })
    }

    /// Reads from a pipe or memory, `.gz` or not; `name` stands for it in messages (`<stdin>`).
    ///
    /// # Errors
    /// A format that needs a file (Parquet, TweetEval, class folders), or a broken beginning.
    pub fn from_reader(
        bytes: Box<dyn Read + Send>,
        name: &str,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self, DataError> {
        let path: Arc<Path> = Arc::from(Path::new(name));
        let source = text_source::decode(bytes, &path)?;
        let open = open_stream(Arc::clone(&path), source, format, options)?;
        let path = path.to_path_buf();
        Ok(Self {
            path: path.clone(),
            format,
            options: options.clone(),
            waiting: VecDeque::new(),
            open,
            first: path,
            rows: 0,
            ended: false,
        })
    }

    /// What was opened: the file, folder or pattern as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns' names in order; for JSONL those of the first row.
    pub fn columns(&self) -> &[String] {
        &self.open.columns
    }

    /// The columns as a columnar output needs them; JSONL columns are text here, as only a whole file tells their types
    /// ([`scan_schema`]).
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.open.schema)
    }

    /// The class names that the files themselves give for a column of class ids: `ClassLabel` metadata of Parquet
    /// files, TweetEval's mapping. The id of a class is its index.
    pub fn label_names(&self, column: &str) -> Option<&[String]> {
        self.open.label_names.get(column).map(Vec::as_slice)
    }

    /// Reads past `count` rows, as a resumed run does with the rows it has already dealt with.
    ///
    /// # Errors
    /// A row that cannot be read, or fewer rows than `count`.
    pub fn skip_rows(&mut self, count: u64) -> Result<(), DataError> {
        for done in 0..count {
            if self.next().transpose()?.is_none() {
                let path = self.path.display();
                return Err(DataError::Setting(format!("{path} has {done} rows, fewer than the {count} to skip")));
            }
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<Row>, DataError> {
        loop {
            if let Some(row) = self.open.rows.next_row(self.rows + 1)? {
                self.rows += 1;
                return Ok(Some(row));
            }
            let Some(path) = self.waiting.pop_front() else { return Ok(None) };
            let open = open_file(&path, self.format, &self.options)?;
            self.check_same_columns(&path, &open)?;
            self.open = open;
        }
    }

    /// Files of one source must agree; the keys of JSONL rows may differ from row to row anyway.
    fn check_same_columns(&self, path: &Path, open: &OpenFile) -> Result<(), DataError> {
        if self.format == Format::JsonLines {
            return Ok(());
        }
        let same = open.columns == self.open.columns && open.label_names == self.open.label_names;
        let types = |open: &OpenFile| -> Vec<DataType> {
            open.schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        let same_types = types(open) == types(&self.open);
        if same && same_types {
            return Ok(());
        }
        Err(DataError::SchemaMismatch {
            path: path.to_owned(),
            first: self.first.clone(),
            expected: describe_columns(&self.open),
            found: describe_columns(open),
        })
    }
}

/// Refuses a file in which a name does not tell a column.
fn refuse_repeated_names(names: &[String], at: Location, hint: &str) -> Result<(), DataError> {
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let problem = format!("two columns are named `{name}`\nhint: rename one{hint}");
            Err(DataError::Cell { at, problem })
        }
    }
}

fn describe_columns(open: &OpenFile) -> String {
    let described = open.schema.fields().iter().map(|field| match open.label_names.get(field.name()) {
        Some(names) => format!("{}: {}", field.name(), names.join("|")),
        None => format!("{}: {}", field.name(), field.data_type()),
    });
    described.collect::<Vec<_>>().join(", ")
}

impl Iterator for RowReader {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.next_row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

fn open_file(path: &Path, format: Format, options: &ReadOptions) -> Result<OpenFile, DataError> {
    let shared: Arc<Path> = Arc::from(path);
    match format {
        Format::Parquet => parquet_file::open(shared),
        Format::TweetEval => text_lines::open_tweeteval(shared, options),
        Format::ClassFolders => class_folders::open(path, options),
        _ => {
            let source = text_source::open_text(&shared)?;
            open_stream(shared, source, format, options)
        }
    }
}

fn open_stream(
    path: Arc<Path>,
    source: text_source::TextSource,
    format: Format,
    options: &ReadOptions,
) -> Result<OpenFile, DataError> {
    match format {
        Format::Csv => delimited::open(path, source, b',', options),
        Format::Tsv => delimited::open(path, source, b'\t', options),
        Format::JsonLines => json_lines::open(path, source, options),
        Format::PlainText => Ok(text_lines::open_plain(path, source, options)),
        Format::TabLabel => Ok(text_lines::open_tab(path, source, options)),
        Format::Parquet | Format::TweetEval | Format::ClassFolders => {
            Err(DataError::Setting(format!("{format} cannot be read from a stream\nhint: give it as a file or folder")))
        }
    }
}

/// The columns of a source with their types, as a columnar output needs them before the first row.
///
/// Text formats have text columns. JSONL is read through once: a column's type is the narrowest that holds all its
/// values, and the columns are the keys of all rows, in order of appearance.
///
/// # Errors
/// Whatever is wrong with a file.
pub fn scan_schema(source: &Source, options: &ReadOptions) -> Result<SchemaRef, DataError> {
    let reader = RowReader::open(source, options)?;
    if source.format == Format::JsonLines {
        return json_schema::scan(reader);
    }
    Ok(reader.schema())
}

/// The number of rows of a source, for progress bars: from the footers of Parquet files, else by reading them.
///
/// # Errors
/// Whatever is wrong with a file.
pub fn count_rows(source: &Source, options: &ReadOptions) -> Result<u64, DataError> {
    if source.format == Format::Parquet {
        return source.files.iter().map(|path| parquet_file::count_rows(path)).sum();
    }
    RowReader::open(source, options)?.try_fold(0, |count, row| row.map(|_| count + 1))
}
