//! Learning a byte-level BPE vocabulary with RoBERTa's special tokens from texts.

use std::path::Path;
use std::sync::Mutex;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString};
use tokenizers::{AddedToken, Model, PreTokenizer, Trainer};

use crate::error::TextError;
use crate::load::guard::guarded;
use crate::long_text::pieces;

/// RoBERTa's special tokens in the order of their ids, 0 to 4.
const SPECIAL_TOKENS: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

/// A word (a run of letters, of digits, or of other signs) of more bytes than this is not learned from: it is no word,
/// and each merge would search it.
const LONGEST_WORD: usize = 1024;

/// What is learned: RoBERTa's special tokens, the 256 bytes, then merged tokens, the most frequent pair first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteLevelBpe {
    /// The most tokens.
    pub vocab_size: usize,
    /// A pair that is rarer than this is not merged.
    pub min_frequency: u64,
}

impl ByteLevelBpe {
    /// The fewest tokens that spell every text: the special ones, and one a byte.
    pub const SMALLEST: usize = SPECIAL_TOKENS.len() + 256;

    /// Counts the words of texts, on rayon's threads. The first error of `texts` ends it.
    ///
    /// The order of the texts does not matter. The distinct words are in memory, the texts are not.
    ///
    /// # Errors
    /// That of `texts`, or [`TextError::Tokenize`] for a text that cannot be split.
    pub fn count<S, E>(self, texts: impl Iterator<Item = Result<S, E>> + Send) -> Result<CountedWords, E>
    where
        S: AsRef<str> + Send,
        E: From<TextError> + Send,
    {
        let mut trainer = BpeTrainer::builder()
            .vocab_size(self.vocab_size)
            .min_frequency(self.min_frequency)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(SPECIAL_TOKENS.iter().map(|token| AddedToken::from(*token, true)).collect())
            .build();
        let failed = Mutex::new(None);
        let good = texts.map_while(|text| match text {
            Ok(text) => Some(text),
            Err(error) => {
                *failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
                None
            }
        });
        let counted = guarded(|| trainer.feed(good, words));
        if let Some(error) = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            return Err(error);
        }
        counted.map_err(|problem| TextError::Tokenize { problem })?;
        Ok(CountedWords { trainer })
    }
}

/// The words of a text as byte-level BPE sees them.
fn words(text: &str) -> tokenizers::Result<Vec<String>> {
    let splitter = ByteLevel::new(false, true, true);
    let mut words = Vec::new();
    for piece in pieces(text) {
        let mut split = PreTokenizedString::from(piece);
        splitter.pre_tokenize(&mut split)?;
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        words.extend(splits.into_iter().map(|(word, _, _)| word).filter(|word| !is_too_long(word)).map(str::to_owned));
    }
    Ok(words)
}

/// A byte of the text is a character here.
fn is_too_long(word: &str) -> bool {
    word.len() > LONGEST_WORD && word.chars().count() > LONGEST_WORD
}

/// The words of texts and how frequent they are.
pub struct CountedWords {
    trainer: BpeTrainer,
}

impl CountedWords {
    /// How many distinct words there are.
    pub fn distinct(&self) -> usize {
        self.trainer.get_word_count()
    }

    /// Learns the merges. The same words give the same vocabulary.
    ///
    /// # Errors
    /// [`TextError::Tokenize`] if there are too many words to count.
    pub fn learn(self) -> Result<LearnedVocabulary, TextError> {
        let mut model = BPE::default();
        guarded(|| self.trainer.train(&mut model)).map_err(|problem| TextError::Tokenize { problem })?;
        Ok(LearnedVocabulary { model })
    }
}

/// A vocabulary that was learned.
pub struct LearnedVocabulary {
    model: BPE,
}

impl LearnedVocabulary {
    /// Writes `vocab.json` and `merges.txt` into `directory`, for [`Tokenizer::from_dir`](crate::Tokenizer::from_dir)
    /// with the model type `roberta`.
    ///
    /// # Errors
    /// [`TextError::Unusable`] if writing fails.
    pub fn save(&self, directory: &Path) -> Result<(), TextError> {
        guarded(|| self.model.save(directory, None).map(drop))
            .map_err(|problem| TextError::unusable(directory, problem))
    }
}

/// Learns at most `vocab_size` tokens from `texts`, of pairs that are there twice at least, and writes `vocab.json` and
/// `merges.txt` into `directory` as [`LearnedVocabulary::save`].
///
/// # Errors
/// [`TextError`] if training or writing fails.
pub fn train_byte_level_bpe(texts: &[&str], vocab_size: usize, directory: &Path) -> Result<(), TextError> {
    let settings = ByteLevelBpe { vocab_size, min_frequency: 2 };
    settings.count(texts.iter().map(Ok::<_, TextError>))?.learn()?.save(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodeSettings, Tokenizer};

    fn texts() -> Vec<String> {
        (0..50).map(|n| format!("the film was wonderful, number {n} é 🎬")).collect()
    }

    #[test]
    fn a_learned_vocabulary_merges_what_is_frequent_and_loses_nothing() {
        let texts = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        train_byte_level_bpe(&texts, 400, folder.path()).unwrap();
        let tokenizer = Tokenizer::from_dir(folder.path(), "roberta", 64).unwrap();
        assert!(tokenizer.vocab_size() <= 400);
        let encoded = tokenizer.encode("the film was wonderful 🎬 ß", None, &EncodeSettings::default()).unwrap();
        assert_eq!((encoded.ids[0], encoded.ids.last()), (0, Some(&2)));
        let words = &encoded.ids[1..encoded.ids.len() - 1];
        assert_eq!(tokenizer.decode(words).unwrap(), "the film was wonderful 🎬 ß");
        assert!(words.len() < 20, "{} tokens: nothing was merged", words.len());
    }

    #[test]
    fn the_order_of_texts_and_words_of_great_length_change_nothing() {
        let learned = |texts: Vec<String>| {
            let settings = ByteLevelBpe { vocab_size: 330, min_frequency: 2 };
            let folder = tempfile::tempdir().unwrap();
            let counted = settings.count(texts.into_iter().map(Ok::<_, TextError>)).unwrap();
            counted.learn().unwrap().save(folder.path()).unwrap();
            let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
            (read("vocab.json"), read("merges.txt"))
        };
        let plain = learned(texts());
        let mut other = texts();
        other.reverse();
        other.extend(["z".repeat(3_000_000), "z".repeat(LONGEST_WORD + 1)]);
        assert_eq!(plain, learned(other));
    }

    #[test]
    fn min_frequency_and_vocab_size_bound_the_vocabulary() {
        let size = |vocab_size, min_frequency| {
            let folder = tempfile::tempdir().unwrap();
            let texts = ["ab ab ab cd"; 1].into_iter().map(Ok::<_, TextError>);
            let learned = ByteLevelBpe { vocab_size, min_frequency }.count(texts).unwrap().learn().unwrap();
            learned.save(folder.path()).unwrap();
            Tokenizer::from_dir(folder.path(), "roberta", 64).unwrap().vocab_size()
        };
        // "ab" three times, of them " ab" twice; "cd" and " cd" once.
        assert_eq!(size(300, 4), ByteLevelBpe::SMALLEST);
        assert_eq!(size(300, 3), ByteLevelBpe::SMALLEST + 1);
        assert_eq!(size(300, 2), ByteLevelBpe::SMALLEST + 2);
        assert_eq!(size(300, 1), ByteLevelBpe::SMALLEST + 4);
        assert_eq!(size(ByteLevelBpe::SMALLEST, 1), ByteLevelBpe::SMALLEST);
    }

    #[test]
    fn an_error_of_the_texts_ends_learning() {
        let settings = ByteLevelBpe { vocab_size: 330, min_frequency: 2 };
        let broken = || TextError::Tokenize { problem: "broken".into() };
        let texts = [Ok("one"), Err(broken()), Ok("two")];
        let error = settings.count(texts.into_iter()).err().unwrap();
        assert_eq!(error.to_string(), broken().to_string());
    }
}
