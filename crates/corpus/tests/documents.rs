//! Documents out of every kind of file, and errors that say where.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serin_corpus::{CorpusError, DocumentOptions, Documents};
use support::file;

fn read(paths: &[PathBuf], options: &DocumentOptions) -> Result<Vec<String>, CorpusError> {
    Documents::open(paths, options)?.map(|document| Ok(document?.text)).collect()
}

fn line_by_line() -> DocumentOptions {
    DocumentOptions { line_by_line: true, ..DocumentOptions::default() }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_blank_line_ends_a_document_of_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\n\nfirst\r\nline two\n \t\n\nsecond\twith a tab\n\n\nthird";
    let plain = file(folder.path(), "a.txt", text);
    let packed = file(folder.path(), "a.txt.gz", gzip(text));
    let expected = ["first\nline two", "second\twith a tab", "third"];
    assert_eq!(read(std::slice::from_ref(&plain), &DocumentOptions::default()).unwrap(), expected);
    assert_eq!(read(&[packed], &DocumentOptions::default()).unwrap(), expected);
    let lines = read(&[plain], &line_by_line()).unwrap();
    assert_eq!(lines, ["first", "line two", "second\twith a tab", "third"]);
}

#[test]
fn rows_of_tables_are_documents_and_blank_ones_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), "a.csv", "id,text\n1,\"one,\n\ntwo\"\n2,  \n3,three\n");
    let tsv = file(folder.path(), "b.tsv", "body\tid\nfour\t4\n");
    let jsonl =
        file(folder.path(), "c.jsonl.gz", gzip("{\"text\": \"five \u{1f3ac}\"}\n{\"text\": \"six\", \"x\": 1}\n"));
    let mut documents = Documents::open(&[csv.clone(), jsonl.clone()], &line_by_line()).unwrap();
    let texts: Vec<String> = documents.by_ref().map(|document| document.unwrap().text).collect();
    assert_eq!(texts, ["one,\n\ntwo", "three", "five \u{1f3ac}", "six"]);
    assert_eq!(documents.blank(), 1);
    let named = DocumentOptions { text_column: Some("body".into()), ..DocumentOptions::default() };
    assert_eq!(read(std::slice::from_ref(&tsv), &named).unwrap(), ["four"]);
    let error = read(&[csv, tsv], &named).unwrap_err().to_string();
    assert!(error.contains("a.csv") && error.contains("`body`") && error.contains("`id`, `text`"), "{error}");
}

#[test]
fn two_text_columns_are_two_lines() {
    let folder = tempfile::tempdir().unwrap();
    let csv = file(folder.path(), "a.csv", "premise,hypothesis,label\na,b,0\n");
    assert_eq!(read(&[csv], &DocumentOptions::default()).unwrap(), ["a\nb"]);
}

#[test]
fn parquet_of_reviews_is_read_as_pyarrow_reads_it() {
    let shared = std::env::var_os("SERIN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = shared.join("data/imdb/test-00000-of-00001.parquet");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let (mut count, mut bytes) = (0, 0);
    for document in Documents::open(&[path], &DocumentOptions::default()).unwrap() {
        count += 1;
        bytes += document.unwrap().text.len();
    }
    // By pyarrow: the number of rows, and the sum of `len(text.encode())`.
    assert_eq!((count, bytes), (25_000, 32_350_685));
}

#[test]
fn errors_name_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| file(folder.path(), name, bytes);
    let message =
        |path: &PathBuf, options: &DocumentOptions| read(std::slice::from_ref(path), options).unwrap_err().to_string();
    let cases = [
        (write("latin.txt", b"good\n\nsch\xf6n\n"), vec!["latin.txt", "line 3", "UTF-8"]),
        (write("nul.txt", b"a\0b\n"), vec!["nul.txt", "line 1", "NUL"]),
        (write("empty.txt", b""), vec!["empty.txt", "holds no text"]),
        (write("spaces.txt", b" \n\t\n"), vec!["spaces.txt", "holds no text"]),
        (write("empty.csv", b""), vec!["empty.csv"]),
        (write("header.csv", b"text\n"), vec!["header.csv", "holds no text"]),
        (write("null.jsonl", b"{\"text\": \"a\"}\n{\"text\": null}\n"), vec!["null.jsonl", "line 2", "`text`"]),
        (write("ragged.csv", b"id,text\n1,a\n2\n"), vec!["ragged.csv", "line 3"]),
        (write("none.csv", b"id,body\n1,a\n"), vec!["none.csv", "no text column", "--text-column"]),
        (write("a.parquet", b"PAR1nonsensePAR1"), vec!["a.parquet", "Parquet"]),
        (write("cut.txt.gz", &gzip(&"words ".repeat(9999))[..60]), vec!["cut.txt.gz", "truncated"]),
        (write("what.docx", b"a"), vec!["what.docx", "format"]),
        (folder.path().join("absent.txt"), vec!["absent.txt", "cannot open"]),
        (folder.path().join("absent.parquet"), vec!["absent.parquet", "cannot open"]),
    ];
    for (path, parts) in cases {
        let message = message(&path, &DocumentOptions::default());
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let lossy = {
        let mut options = line_by_line();
        options.read.lossy = true;
        options
    };
    assert_eq!(read(&[folder.path().join("latin.txt")], &lossy).unwrap(), ["good", "sch\u{fffd}n"]);
}

#[test]
fn the_last_of_several_files_is_looked_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "a.txt", "a\n");
    let error = Documents::open(&[good, folder.path().join("b.txt")], &DocumentOptions::default()).err().unwrap();
    assert!(error.to_string().contains("b.txt"), "{error}");
    assert!(Documents::open(&[], &DocumentOptions::default()).is_err());
}

#[test]
fn a_document_without_an_end_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "tweets.txt", "start\n\n".to_owned() + &"a tweet\n".repeat(1000));
    let mut options = DocumentOptions::default();
    options.read.max_line_bytes = 4000;
    let error = read(std::slice::from_ref(&path), &options).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("--line-by-line"), "{error}");
    options.line_by_line = true;
    assert_eq!(read(&[path], &options).unwrap().len(), 1001);
}
