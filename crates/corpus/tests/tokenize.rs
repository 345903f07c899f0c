//! From documents to sequences: what is in them, in which order, on which side.

mod support;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serin_corpus::{Corpus, CorpusError, CorpusSettings, CorpusSources, Packing, TRAIN, VALIDATION};
use serin_text::{EncodeSettings, Normalization, Tokenizer};
use support::{bert, file, roberta, sequences, tokenize};

fn settings(max_length: usize, packing: Packing) -> CorpusSettings {
    let mut settings = CorpusSettings { max_length, packing, ..CorpusSettings::default() };
    settings.documents.line_by_line = true;
    settings
}

/// Documents of 0 to 39 words, from a fixed rule.
fn lines(count: usize) -> Vec<String> {
    let words = ["good", "film", "the", "\u{1f3ac}", "was", "naïve", "42", "...", "映画"];
    let line = |number: usize| -> String {
        let picked = (0..number * 7 % 40).map(|index| words[(number * 31 + index * index) % words.len()]);
        picked.chain([number.to_string().as_str()]).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(line).collect()
}

fn write_lines(folder: &Path, lines: &[String]) -> PathBuf {
    file(folder, "lines.txt", lines.join("\n"))
}

/// The ids of each text alone, by `encode` (which is tested against Hugging Face's), special tokens taken off.
fn contents(tokenizer: &Tokenizer, lines: &[String]) -> Vec<Vec<u32>> {
    let whole = EncodeSettings { max_length: 512, ..EncodeSettings::default() };
    let encode = |line: &String| {
        let ids = tokenizer.encode(line, None, &whole).unwrap().ids;
        ids[1..ids.len() - 1].to_vec()
    };
    lines.iter().map(encode).collect()
}

#[test]
fn full_sentences_are_all_documents_end_to_end_with_separators_between() {
    for (tokenizer, lines, first, last) in
        [(roberta(), lines(300), 0, 2), (bert(), (0..90).map(|n| "word1 word2 ".repeat(n % 30 + 1)).collect(), 2, 3)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = write_lines(folder.path(), &lines);
        let max_length = 32;
        let out = folder.path().join("corpus");
        let report = tokenize(&[path], &[], &tokenizer, &settings(max_length, Packing::FullSentences), &out).unwrap();
        let corpus = Corpus::open(&out.join(TRAIN)).unwrap();
        let sequences = sequences(&corpus);
        assert_eq!(report.train.sequences, sequences.len() as u64);
        assert_eq!(report.train.documents, lines.len() as u64);
        assert_eq!(report.train.tokens, sequences.iter().map(Vec::len).sum::<usize>() as u64);
        assert_eq!((corpus.len() as u64, corpus.tokens()), (report.train.sequences, report.train.tokens));
        assert!((0..corpus.len()).all(|index| corpus.length(index) == sequences[index].len()));

        let mut joined = Vec::new();
        let documents = contents(&tokenizer, &lines);
        let starts: HashSet<usize> = documents
            .iter()
            .scan(0, |at, document| {
                let start = *at;
                *at += document.len();
                Some(start)
            })
            .collect();
        for (index, sequence) in sequences.iter().enumerate() {
            assert_eq!((sequence[0], *sequence.last().unwrap()), (first, last));
            let inner = &sequence[1..sequence.len() - 1];
            for (position, &id) in inner.iter().enumerate() {
                let begins_document = starts.contains(&joined.len()) && position > 0;
                if id == last {
                    assert!(begins_document && position + 1 < inner.len(), "a separator elsewhere than between");
                } else {
                    assert!(!begins_document || inner[position - 1] == last, "no separator between two documents");
                    joined.push(id);
                }
            }
            let full =
                sequence.len() == max_length || sequence.len() == max_length - 1 && starts.contains(&joined.len());
            assert!(full || index + 1 == sequences.len(), "sequence {index} has {} tokens", sequence.len());
        }
        assert_eq!(joined, documents.concat());
    }
}

#[test]
fn doc_sentences_never_cross_a_document() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let lines = lines(200);
    let path = write_lines(folder.path(), &lines);
    let out = folder.path().join("corpus");
    let report = tokenize(&[path], &[], &tokenizer, &settings(32, Packing::DocSentences), &out).unwrap();
    let (mut expected, mut dropped) = (Vec::new(), 0);
    for document in contents(&tokenizer, &lines) {
        let mut rest = document.as_slice();
        loop {
            let (taken, after) = rest.split_at(rest.len().min(30));
            expected.push([&[0], taken, &[2]].concat());
            rest = after;
            if rest.len() < 8 {
                dropped += rest.len() as u64;
                break;
            }
        }
    }
    assert_eq!(sequences(&Corpus::open(&out.join(TRAIN)).unwrap()), expected);
    assert!(dropped > 0);
    assert_eq!(report.train.dropped_tokens, dropped);
}

#[test]
fn a_vocabulary_beyond_two_bytes_is_written_in_four() {
    let tokenizer = {
        let folder = tempfile::tempdir().unwrap();
        let mut vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
        (0..70_000).for_each(|number| vocabulary.push_str(&format!("w{number}\n")));
        file(folder.path(), "vocab.txt", vocabulary);
        Tokenizer::from_dir(folder.path(), "bert", 512).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.txt", "w0 w69999 w65531 w60000");
    let out = folder.path().join("corpus");
    tokenize(&[path], &[], &tokenizer, &settings(16, Packing::DocSentences), &out).unwrap();
    assert_eq!(sequences(&Corpus::open(&out.join(TRAIN)).unwrap()), [[2, 5, 70_004, 65_536, 60_005, 3]]);
    assert_eq!(std::fs::metadata(out.join(TRAIN).join("tokens.bin")).unwrap().len(), 6 * 4);
}

#[test]
fn the_held_out_part_shares_no_document_with_the_rest() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let mut all = lines(2000);
    // Every third document is there twice.
    all.extend(lines(2000).into_iter().step_by(3).map(|line| line + " "));
    let path = write_lines(folder.path(), &all);
    let mut settings = settings(512, Packing::DocSentences);
    settings.validation_fraction = 0.2;
    let run = |settings: &CorpusSettings, name: &str| {
        let out = folder.path().join(name);
        let report = tokenize(std::slice::from_ref(&path), &[], &tokenizer, settings, &out).unwrap();
        let part = |name| sequences(&Corpus::open(&out.join(name)).unwrap());
        (report, part(TRAIN), part(VALIDATION))
    };
    let (report, train, validation) = run(&settings, "first");
    let held_out = report.validation.unwrap();
    assert_eq!(report.train.documents + held_out.documents, all.len() as u64);
    let texts = |sequences: &[Vec<u32>]| -> HashSet<String> {
        sequences.iter().map(|ids| tokenizer.decode(ids).unwrap().trim().to_owned()).collect()
    };
    let (in_train, in_validation) = (texts(&train), texts(&validation));
    assert!(in_train.is_disjoint(&in_validation));
    assert_eq!(in_train.len() + in_validation.len(), 2000, "lost documents");
    // 2000 distinct documents: five standard deviations are 0.045.
    let share = in_validation.len() as f64 / 2000.0;
    assert!((share - 0.2).abs() < 0.045, "{share}");

    assert_eq!(run(&settings, "again"), (report, train.clone(), validation.clone()));
    settings.seed += 1;
    assert_ne!(run(&settings, "other").2, validation);
}

#[test]
fn held_out_files_are_taken_out_of_what_is_learned_from() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let train = file(folder.path(), "train.txt", "one\ntwo\nthree\n\ntwo \nfour\n");
    let validation = file(folder.path(), "validation.csv", "text\ntwo\nfive\n");
    let out = folder.path().join("corpus");
    let mut settings = settings(32, Packing::DocSentences);
    let report =
        tokenize(std::slice::from_ref(&train), std::slice::from_ref(&validation), &tokenizer, &settings, &out).unwrap();
    assert_eq!((report.train.documents, report.duplicates, report.blank), (3, 2, 1));
    assert_eq!(report.validation.unwrap().documents, 2);
    let part = |name| sequences(&Corpus::open(&out.join(name)).unwrap());
    let decoded = |part: Vec<Vec<u32>>| part.iter().map(|ids| tokenizer.decode(ids).unwrap()).collect::<Vec<_>>();
    assert_eq!(decoded(part(TRAIN)), ["one", "three", "four"]);
    assert_eq!(decoded(part(VALIDATION)), ["two", "five"]);
    // Both ways to hold out at once are refused, and so is holding out everything.
    settings.validation_fraction = 0.5;
    let error = tokenize(std::slice::from_ref(&train), std::slice::from_ref(&validation), &tokenizer, &settings, &out)
        .unwrap_err();
    assert!(matches!(error, CorpusError::Setting { field: "validation_fraction", .. }), "{error}");
    settings.validation_fraction = 0.0;
    let error =
        tokenize(std::slice::from_ref(&train), std::slice::from_ref(&train), &tokenizer, &settings, &out).unwrap_err();
    assert!(error.to_string().contains("nothing is left to learn from"), "{error}");
    assert_eq!(part(TRAIN).len(), 3, "a failed run harmed the corpus that was there");
}

#[test]
fn nothing_of_excluded_files_is_used_on_either_side() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let (all, excluded) = (lines(400), lines(100));
    let path = write_lines(folder.path(), &all);
    let exclude = vec![file(folder.path(), "test.txt", excluded.join(" \n"))];
    let sources = CorpusSources { train: vec![path], exclude, ..CorpusSources::default() };
    let settings = CorpusSettings { validation_fraction: 0.2, ..settings(512, Packing::DocSentences) };
    let out = folder.path().join("corpus");
    let report = Corpus::tokenize(&sources, &tokenizer, &settings, &out, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.duplicates, 100);
    let used = [TRAIN, VALIDATION].map(|part| sequences(&Corpus::open(&out.join(part)).unwrap())).concat();
    let without_specials: Vec<_> = used.iter().map(|ids| ids[1..ids.len() - 1].to_vec()).collect();
    assert_eq!(without_specials.len(), 300);
    assert!(contents(&tokenizer, &excluded).iter().all(|ids| !without_specials.contains(ids)));
    let other = CorpusSources { exclude: vec![], ..sources };
    let error = Corpus::open(&out.join(TRAIN)).unwrap().check(&other, &tokenizer, &settings).unwrap_err();
    assert!(error.to_string().contains("exclude files"), "{error}");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    // Several batches.
    let path = write_lines(folder.path(), &lines(10_000));
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let out = folder.path().join(threads.to_string());
        let settings = settings(64, Packing::FullSentences);
        pool.install(|| tokenize(std::slice::from_ref(&path), &[], &tokenizer, &settings, &out)).unwrap();
        ["tokens.bin", "offsets.bin", "corpus.json"].map(|name| std::fs::read(out.join(TRAIN).join(name)).unwrap())
    };
    assert_eq!(bytes(1), bytes(3));
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let path = write_lines(folder.path(), &lines(10_000));
    let out = folder.path().join("corpus");
    let sources = CorpusSources { train: vec![path], ..CorpusSources::default() };
    let mut heard = 0;
    let error = Corpus::tokenize(&sources, &tokenizer, &settings(64, Packing::default()), &out, &mut |report| {
        heard += 1;
        if report.train.documents > 5000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(error, Err(CorpusError::Interrupted)) && heard == 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the text is there");
}

#[test]
fn a_document_far_longer_than_memory_should_hold_twice_is_cut_into_sequences() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "long.txt", "the film was good ".repeat(600_000));
    let out = folder.path().join("corpus");
    let report = tokenize(&[path], &[], &tokenizer, &settings(512, Packing::DocSentences), &out).unwrap();
    assert_eq!(report.train.documents, 1);
    assert_eq!(report.text_bytes, 18 * 600_000);
    let corpus = Corpus::open(&out.join(TRAIN)).unwrap();
    let bytes: usize = sequences(&corpus).iter().map(|ids| tokenizer.decode(ids).unwrap().len()).sum();
    assert!(18 * 600_000 - bytes < 100, "{bytes}");
}

#[test]
fn normalization_is_applied() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "tweets.txt", "@someone look https://example.org");
    let out = folder.path().join("corpus");
    let mut settings = settings(64, Packing::DocSentences);
    settings.normalization = Normalization::Tweet;
    tokenize(&[path], &[], &tokenizer, &settings, &out).unwrap();
    let corpus = Corpus::open(&out.join(TRAIN)).unwrap();
    assert_eq!(tokenizer.decode(&corpus.sequence(0)).unwrap(), "@user look http");
}

#[test]
fn senseless_settings_and_foreign_folders_are_refused() {
    let tokenizer = roberta();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.txt", "a\nb\n");
    let out = folder.path().join("corpus");
    let refused = |change: &dyn Fn(&mut CorpusSettings), out: &Path| {
        let mut settings = settings(32, Packing::default());
        change(&mut settings);
        tokenize(std::slice::from_ref(&path), &[], &tokenizer, &settings, out).unwrap_err().to_string()
    };
    assert!(refused(&|settings| settings.max_length = 15, &out).starts_with("max_length"));
    for fraction in [-0.1, 1.0, f64::NAN] {
        assert!(refused(&|settings| settings.validation_fraction = fraction, &out).starts_with("validation_fraction"));
    }
    let few = refused(&|settings| settings.validation_fraction = 1e-9, &out);
    assert!(few.contains("holds out none"), "{few}");
    assert!(refused(&|_| {}, folder.path()).contains("no tokenized corpus"));
    assert!(refused(&|_| {}, &path).contains("a.txt"));
    assert!(path.exists() && !out.exists());
}
