//! Which files of a repository are wanted.

use super::repository::Kind;

/// Data files of a dataset, the best form first; only the first form that is there is fetched.
const DATA_FORMS: [&[&str]; 4] = [
    &["*.parquet"],
    &["*.jsonl", "*.jsonl.gz", "*.json", "*.json.gz"],
    &["*.csv", "*.csv.gz", "*.tsv", "*.tsv.gz"],
    &["*.txt", "*.txt.gz"],
];
/// What describes a dataset's columns and labels.
const DATA_CARDS: [&str; 2] = ["README.md", "dataset_infos.json"];
/// Tokenizer files that are not JSON.
const TOKENIZER_FILES: [&str; 6] =
    ["merges.txt", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model"];
/// Weights, the best form first, as `transformers` prefers them: index or whole file, then its shards.
const WEIGHT_FORMS: [(&str, &str); 4] = [
    ("model.safetensors", ""),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin", ""),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
];

/// The files to fetch, weights last, so that a snapshot with weights has everything else.
///
/// Without patterns: a model's configuration, tokenizer and one form of PyTorch weights; a dataset's
/// data in its best form and its card.
pub(super) fn choose(kind: Kind, patterns: &[&str], files: &[String]) -> Vec<String> {
    match kind {
        _ if !patterns.is_empty() => matching(patterns, files),
        Kind::Model => model_files(files),
        Kind::Dataset => dataset_files(files),
    }
}

/// Whether the chosen files of a cached snapshot suffice without asking the Hub.
pub(super) fn suffices(kind: Kind, patterns: &[&str], chosen: &[String]) -> bool {
    let has = |wanted: &str| chosen.iter().any(|file| file == wanted);
    if !patterns.is_empty() {
        return patterns.iter().all(|pattern| chosen.iter().any(|file| matches(pattern, file)));
    }
    match kind {
        Kind::Model => has("config.json") && has_weights(chosen),
        Kind::Dataset => chosen.iter().any(|file| !DATA_CARDS.contains(&file.as_str())),
    }
}

/// Whether any form of weights is among the files.
pub(super) fn has_weights(files: &[String]) -> bool {
    files.iter().any(|file| WEIGHT_FORMS.iter().any(|(name, _)| file == name))
}

/// Whether a pattern can only mean one file.
pub(super) fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

fn matching(patterns: &[&str], files: &[String]) -> Vec<String> {
    files.iter().filter(|file| patterns.iter().any(|pattern| matches(pattern, file))).cloned().collect()
}

fn model_files(files: &[String]) -> Vec<String> {
    let is_description = |file: &str| file.ends_with(".json") && !file.ends_with(".index.json") && !file.contains('/');
    let wanted = |file: &&String| is_description(file) || TOKENIZER_FILES.contains(&file.as_str());
    let mut chosen: Vec<String> = files.iter().filter(wanted).cloned().collect();
    let form = WEIGHT_FORMS.iter().find(|(name, _)| files.iter().any(|file| file == name));
    if let Some((name, shards)) = form {
        chosen.push((*name).to_owned());
        chosen.extend(matching(&[shards], files));
    }
    chosen
}

fn dataset_files(files: &[String]) -> Vec<String> {
    let mut chosen = matching(&DATA_CARDS, files);
    let data: Vec<String> = files.iter().filter(|file| !DATA_CARDS.contains(&file.as_str())).cloned().collect();
    let form = DATA_FORMS.iter().map(|form| matching(form, &data)).find(|found| !found.is_empty());
    chosen.extend(form.unwrap_or_default());
    chosen
}

/// Shell-style matching as Python's `fnmatch`: `*` is any run of characters, slashes included, `?` any one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at_pattern, mut at_name) = (0, 0);
    // The last star and how much of the name it has taken; on a mismatch it takes one more.
    let mut star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                star = Some((at_pattern, at_name));
                at_pattern += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[at_name] => {
                at_pattern += 1;
                at_name += 1;
            }
            _ => {
                let Some((position, taken)) = star else { return false };
                star = Some((position, taken + 1));
                (at_pattern, at_name) = (position + 1, taken + 1);
            }
        }
    }
    pattern[at_pattern..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn patterns_match_as_fnmatch() {
        // Each line checked with Python's fnmatch.fnmatchcase(name, pattern).
        let cases = [
            ("*.json", "config.json", true),
            ("*.json", "onnx/config.json", true),
            ("data/*.parquet", "data/train/0.parquet", true),
            ("model-?.bin", "model-12.bin", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_model_is_its_description_tokenizer_and_one_form_of_weights() {
        let files = names(&[
            ".gitattributes",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "merges.txt",
            "model.safetensors",
            "onnx/model.onnx",
            "onnx/config.json",
            "pytorch_model.bin",
            "rust_model.ot",
            "tf_model.h5",
            "vocab.json",
        ]);
        let chosen = choose(Kind::Model, &[], &files);
        assert_eq!(chosen, ["config.json", "merges.txt", "vocab.json", "model.safetensors"]);
    }

    #[test]
    fn shards_come_with_their_index_and_bin_only_without_safetensors() {
        let sharded = names(&[
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.fp16.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
        ]);
        let chosen = choose(Kind::Model, &[], &sharded);
        assert_eq!(
            chosen,
            [
                "config.json",
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors"
            ]
        );
        let bin = names(&["config.json", "pytorch_model.bin", "tf_model.h5"]);
        assert_eq!(choose(Kind::Model, &[], &bin), ["config.json", "pytorch_model.bin"]);
    }

    #[test]
    fn parquet_is_preferred_in_datasets() {
        let files = names(&["README.md", "train.csv", "data/test.parquet", "data/train.parquet", "loader.py"]);
        assert_eq!(choose(Kind::Dataset, &[], &files), ["README.md", "data/test.parquet", "data/train.parquet"]);
        assert_eq!(choose(Kind::Dataset, &["*.csv"], &files), ["train.csv"]);
    }
}
