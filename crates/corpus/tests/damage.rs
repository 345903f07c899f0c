//! A corpus that was changed, or that belongs to another run, is refused with a reason.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serin_corpus::{Corpus, CorpusError, CorpusSettings, CorpusSources, Packing, TRAIN};
use serin_text::{Tokenizer, train_byte_level_bpe};
use support::{file, roberta, tokenize};

struct Made {
    folder: tempfile::TempDir,
    sources: CorpusSources,
    settings: CorpusSettings,
    tokenizer: Tokenizer,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "a film that goes on and on and on and on, and then ends\n\n".repeat(20);
        let path = file(folder.path(), "a.txt", text);
        let settings = CorpusSettings { max_length: 32, ..CorpusSettings::default() };
        let tokenizer = roberta();
        let sources = CorpusSources { train: vec![path], ..CorpusSources::default() };
        tokenize(&sources.train, &[], &tokenizer, &settings, &folder.path().join("corpus")).unwrap();
        Self { folder, sources, settings, tokenizer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("corpus").join(TRAIN).join(name)
    }

    fn open(&self) -> Result<Corpus, CorpusError> {
        Corpus::open(&self.path(""))
    }

    /// The message of opening the corpus with one file changed, which is put back after.
    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let path = self.path(name);
        let original = fs::read(&path).unwrap();
        let mut bytes = original.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let message = self.open().err().map_or("opened".to_owned(), |error| error.to_string());
        fs::write(&path, original).unwrap();
        self.open().unwrap();
        message
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let made = Made::new();
    let count = |name| fs::metadata(made.path(name)).unwrap().len() as usize;
    for name in ["tokens.bin", "offsets.bin"] {
        for position in (0..count(name)).step_by(13).chain([count(name) - 1]) {
            let message = made.with(name, |bytes| bytes[position] ^= 1);
            assert!(message.contains(name) && message.contains("damaged"), "{position}: {message}");
        }
        for message in [
            made.with(name, |bytes| bytes.truncate(bytes.len() - 1)),
            made.with(name, |bytes| bytes.push(0)),
            made.with(name, |bytes| bytes.clear()),
        ] {
            assert!(message.contains(name) && message.contains("bytes instead of"), "{message}");
        }
    }
}

#[test]
fn a_header_that_lies_is_refused_without_a_panic() {
    let made = Made::new();
    let header = fs::read_to_string(made.path("corpus.json")).unwrap();
    let edits: [(&str, &str); 9] = [
        ("\"version\": 1", "\"version\": 2"),
        ("\"format\": \"serin-corpus\"", "\"format\": \"x\""),
        ("\"token_bytes\": 2", "\"token_bytes\": 4"),
        ("\"token_bytes\": 2", "\"token_bytes\": 0"),
        ("\"max_length\": 32", "\"max_length\": 31"),
        ("\"sequences\": ", "\"sequences\": 9"),
        ("\"sequences\": ", "\"sequences\": 1844674407370955161"),
        ("\"tokens\": ", "\"tokens\": 1844674407370955161"),
        ("\"largest_id\": ", "\"largest_id\": 0, \"was\": "),
    ];
    for (from, to) in edits {
        assert!(header.contains(from), "{from} is not in {header}");
        let message = made.with("corpus.json", |bytes| *bytes = header.replace(from, to).into_bytes());
        assert!(message.contains("damaged"), "{to}: {message}");
    }
    for length in (0..header.len() - 1).step_by(7) {
        let message = made.with("corpus.json", |bytes| bytes.truncate(length));
        assert!(message.contains("corpus.json") && message.contains("JSON"), "{length}: {message}");
    }
}

#[test]
fn offsets_with_a_right_hash_but_wrong_order_are_refused() {
    let made = Made::new();
    let path = made.path("offsets.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let header = fs::read_to_string(made.path("corpus.json")).unwrap();
    let old = xxhash_rust::xxh3::xxh3_128(&fs::read(&path).unwrap());
    let new = xxhash_rust::xxh3::xxh3_128(&bytes);
    fs::write(&path, bytes).unwrap();
    let header = header.replace(&format!("{old:032x}"), &format!("{new:032x}"));
    fs::write(made.path("corpus.json"), header).unwrap();
    let message = made.open().unwrap_err().to_string();
    assert!(message.contains("offsets.bin") && message.contains("damaged"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let made = Made::new();
    assert!(matches!(Corpus::open(Path::new("/nowhere")), Err(CorpusError::NoCorpus { .. })));
    fs::remove_file(made.path("tokens.bin")).unwrap();
    let message = made.open().unwrap_err().to_string();
    assert!(message.contains("tokens.bin"), "{message}");
}

#[test]
fn another_corpus_is_told_by_what_differs() {
    let made = Made::new();
    let corpus = made.open().unwrap();
    corpus.check(&made.sources, &made.tokenizer, &made.settings).unwrap();
    let differs = |sources: &CorpusSources, tokenizer: &Tokenizer, settings: &CorpusSettings, part: &str| {
        let error = corpus.check(sources, tokenizer, settings).unwrap_err();
        assert!(matches!(error, CorpusError::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let changed = |change: &dyn Fn(&mut CorpusSettings)| {
        let mut settings = made.settings.clone();
        change(&mut settings);
        settings
    };
    let (sources, tokenizer) = (&made.sources, &made.tokenizer);
    differs(sources, tokenizer, &changed(&|settings| settings.max_length = 64), "max length (32, now 64)");
    differs(sources, tokenizer, &changed(&|settings| settings.packing = Packing::DocSentences), "packing");
    differs(sources, tokenizer, &changed(&|settings| settings.documents.line_by_line = true), "documents");
    differs(sources, tokenizer, &changed(&|settings| settings.validation_fraction = 0.1), "validation fraction");
    differs(sources, tokenizer, &changed(&|settings| settings.seed = 1), "seed");

    let other = tempfile::tempdir().unwrap();
    train_byte_level_bpe(&["quite another text, quite another"; 4], 290, other.path()).unwrap();
    let other = Tokenizer::from_dir(other.path(), "roberta", 512).unwrap();
    differs(sources, &other, &made.settings, "another tokenizer");

    let longer = fs::read_to_string(&sources.train[0]).unwrap() + "more\n";
    fs::write(&sources.train[0], longer).unwrap();
    differs(sources, tokenizer, &made.settings, "train files");
}

#[test]
fn the_same_corpus_has_the_same_fingerprint_and_another_has_not() {
    let (first, second) = (Made::new(), Made::new());
    assert_eq!(first.open().unwrap().fingerprint(), second.open().unwrap().fingerprint());
    let out = first.folder.path().join("corpus");
    let settings = CorpusSettings { max_length: 31, ..first.settings.clone() };
    tokenize(&first.sources.train, &[], &first.tokenizer, &settings, &out).unwrap();
    assert_ne!(first.open().unwrap().fingerprint(), second.open().unwrap().fingerprint());
}
