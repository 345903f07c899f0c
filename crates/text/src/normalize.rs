//! Tweet normalisation: user names and links become the placeholders the Cardiff models were trained on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What is done to a text before it is tokenized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// The text as it is.
    #[default]
    None,
    /// [`normalize_tweet`].
    Tweet,
}

impl Normalization {
    /// The text after this normalisation.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Tweet => normalize_tweet(text),
        }
    }
}

/// Replaces user names by `@user` and links by `http`, word by word.
///
/// The rule is `preprocess` of the model card of
/// `cardiffnlp/twitter-roberta-base-sentiment-latest`: split on single spaces, a word that starts with `@` and
/// has more than one character becomes `@user`, one that starts with `http` becomes `http`, join with spaces.
/// Applying it twice changes nothing more.
pub fn normalize_tweet(text: &str) -> Cow<'_, str> {
    if text.split(' ').all(|word| placeholder(word) == word) {
        return Cow::Borrowed(text);
    }
    let words: Vec<&str> = text.split(' ').map(placeholder).collect();
    Cow::Owned(words.join(" "))
}

fn placeholder(word: &str) -> &str {
    if word.len() > 1 && word.starts_with('@') {
        "@user"
    } else if word.starts_with("http") {
        "http"
    } else {
        word
    }
}

/// Whether a Hub id or a local path names a model of `cardiffnlp`, for which [`Normalization::Tweet`] is the default.
///
/// Knows ids (`cardiffnlp/…`), folders below one named `cardiffnlp`, and the Hub cache (`models--cardiffnlp--…`).
pub fn is_cardiffnlp_model(name_or_path: &str) -> bool {
    name_or_path.split(['/', '\\']).any(|component| {
        let component = component.to_ascii_lowercase();
        component == "cardiffnlp" || component.starts_with("models--cardiffnlp--")
    })
}
