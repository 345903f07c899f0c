//! Any table that is written is read back the same, whatever its texts hold.

mod support;

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serin_data::{
    DataError, Format, OutputFormat, PredictedValue, Prediction, PredictionColumns, ProblemType, ReadOptions, Row,
    RowReader, RowWriter, scan_schema,
};
use support::*;

/// Texts with everything that formats stumble over.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just(",".to_owned()),
        Just("\t".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\u{85}".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("\\".to_owned()),
        Just(" ".to_owned()),
        "[a-z]{1,3}",
        "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Rows of two columns as a JSONL file: the one format in which they are stated without the code under test.
fn stated(table: &[(String, String)]) -> String {
    let line = |(text, other): &(String, String)| serde_json::json!({"text": text, "b,\"": other}).to_string() + "\n";
    table.iter().map(line).collect()
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn through(folder: &tempfile::TempDir, table: &[(String, String)], to: OutputFormat) -> Result<Vec<Row>, DataError> {
    let input = source(put(folder, "in.jsonl", stated(table)));
    let schema = scan_schema(&input, &ReadOptions::default())?;
    let columns = PredictionColumns::new(ProblemType::Regression, None, &schema)?;
    let memory = Memory::default();
    let mut writer = RowWriter::to_stream(Box::new(memory.clone()), to, schema, columns)?;
    for row in RowReader::open(&input, &ReadOptions::default())? {
        let prediction =
            Prediction { value: PredictedValue::Score(0.1), probabilities: vec![], truncated: false, tokens: 1 };
        writer.write(&row?, &prediction)?;
    }
    writer.finish()?;
    let name = format!("out.{to}");
    let bytes = memory.0.lock().unwrap().clone();
    rows(put(folder, &name, bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_table_survives_every_format(table in prop::collection::vec((any_text(), any_text()), 1..6)) {
        let folder = folder();
        for to in [OutputFormat::Csv, OutputFormat::Tsv, OutputFormat::JsonLines, OutputFormat::Parquet] {
            let back = through(&folder, &table, to).unwrap();
            prop_assert_eq!(back.len(), table.len());
            let mut line = 2;
            for (row, (first, second)) in back.iter().zip(&table) {
                if matches!(to, OutputFormat::Csv | OutputFormat::Tsv) {
                    prop_assert_eq!(row.location().line, Some(line));
                    line += 1 + (first.matches('\n').count() + second.matches('\n').count()) as u64;
                }
                prop_assert_eq!(&text(row, "text"), first);
                prop_assert_eq!(&text(row, "b,\""), second);
            }
        }
    }

    #[test]
    fn any_bytes_give_rows_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::Csv, Format::Tsv, Format::JsonLines, Format::PlainText, Format::TabLabel] {
            for lossy in [false, true] {
                let options = ReadOptions { lossy, ..ReadOptions::default() };
                let _ = rows_of_bytes(bytes.clone(), format, &options).map(|rows| rows.len());
            }
        }
    }

    #[test]
    fn a_table_cut_in_the_middle_of_a_quoted_field_never_passes(
        table in prop::collection::vec((any_text(), any_text()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let whole: String = table.iter().map(|(a, b)| format!("{},{}\n", quoted(a), quoted(b))).collect();
        let boundaries: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        let part = &whole[..*cut.get(&boundaries)];
        let options = ReadOptions { header: false, ..ReadOptions::default() };
        let read = rows_of_bytes(part, Format::Csv, &options);
        // Every quote opens or closes, or is half of a pair: an odd number leaves a field open.
        if part.matches('"').count() % 2 == 1 {
            prop_assert!(matches!(read, Err(DataError::BrokenQuote { .. })), "{part:?}");
        }
    }
}
