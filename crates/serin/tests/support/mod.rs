//! Tiny models with random weights, and the real binary on them.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate of its own and uses a part")]

use serde_json::{Value, json};
use serin_checkpoint::model::{FolderContents, save_model_folder};
use serin_model::{Initializer, ModelConfig, ProblemType};
use serin_tensor::DType;
use serin_text::train_byte_level_bpe;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const SENTIMENT: [&str; 3] = ["negative", "neutral", "positive"];
/// Tokens that the tiny models read of a text.
pub const MAX_LENGTH: usize = 32;

/// Texts of several lengths, some ugly, one empty, two too long.
pub fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a good film",
        "",
        "I want my evening back, and the money too",
        "comma, \"quotes\" and 'more'",
        "émoji 🎬🍿 and 中文",
        "tab\tinside",
        "meh",
    ]
    .map(str::to_owned)
    .into();
    texts.push("never again will I sit through this ".repeat(10));
    texts.push("x".repeat(500));
    texts.extend((0..20).map(|number| format!("text number {number} {}", "very ".repeat(number % 7))));
    texts
}

/// Writes a model folder.
pub fn write_model(folder: &Path, labels: &[&str], problem_type: ProblemType, seed: u64) {
    write(folder, labels, problem_type, Initializer { seed, range: 0.3 });
}

/// Writes a model folder whose weights have this standard deviation.
pub fn write_model_of_range(folder: &Path, range: f32) {
    write(folder, &SENTIMENT, ProblemType::SingleLabelClassification, Initializer { seed: 7, range });
}

fn write(folder: &Path, labels: &[&str], problem_type: ProblemType, mut parameters: Initializer) {
    let config = json!({
        "model_type": "roberta", "vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 64, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        "initializer_range": 0.3, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    });
    let mut config = ModelConfig::from_json(&config).unwrap();
    config.set_labels(labels.iter().map(|&label| label.to_owned()).collect(), problem_type);
    let contents = FolderContents { config: &config, dtype: DType::F32, parameters: &mut parameters, extra_files: &[] };
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    save_model_folder(folder, contents, |staging| train_byte_level_bpe(&texts, 380, staging)).unwrap();
}

/// A folder to work in, with a model of three labels in it.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn empty() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub fn new() -> Place {
        let place = Place::empty();
        write_model(&place.path("model"), &SENTIMENT, ProblemType::SingleLabelClassification, 7);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The lines of a JSONL file.
    pub fn rows(&self, name: &str) -> Vec<Value> {
        json_lines(&self.read(name))
    }

    /// `serin` in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("hub"));
        command
    }

    /// Runs `serin` to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Runs `serin` with `input` on its standard input.
    pub fn pipe(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let run = Run::of(child.wait_with_output().unwrap());
        writer.join().unwrap();
        run
    }

    /// Names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// How a run ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The standard output of a run that must have ended well.
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Asserts that the run failed with exit code 1, a message with each of `parts`, and nothing on standard output.
    pub fn fails_with(self, parts: &[&str]) {
        self.ends_with(1, parts);
    }

    /// The same of a command line that makes no sense, whose exit code is 2.
    pub fn misused_with(self, parts: &[&str]) {
        self.ends_with(2, parts);
    }

    fn ends_with(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
    }
}

/// The lines of JSONL text.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts as JSONL rows with an id and a label.
pub fn labelled_rows(labels: &[&str]) -> String {
    let rows = texts().into_iter().enumerate();
    let rows = rows.map(|(id, text)| json!({"id": id, "text": text, "label": labels[id % labels.len()]}));
    rows.map(|row| format!("{row}\n")).collect()
}
