//! Text to token ids: tokenizers, tweet normalisation, truncation.
//!
//! ```no_run
//! use serin_text::{EncodeSettings, Tokenizer};
//!
//! # fn main() -> Result<(), serin_text::TextError> {
//! let tokenizer = Tokenizer::from_dir("twitter-roberta".as_ref(), "roberta", 512)?;
//! let settings = EncodeSettings { max_length: 512, ..EncodeSettings::default() };
//! let encoded = tokenizer.encode("What a film!", None, &settings)?;
//! println!("{} tokens, truncated: {}", encoded.ids.len(), encoded.truncated());
//! # Ok(())
//! # }
//! ```

mod encode;
mod error;
mod load;
mod long_text;
mod normalize;
mod save;
mod special_tokens;
mod template;
mod tokenizer;
mod train_bpe;
mod truncate;

pub use encode::{EncodeSettings, Encoded};
pub use error::TextError;
pub use normalize::{Normalization, is_cardiffnlp_model, normalize_tweet};
pub use special_tokens::SpecialIds;
pub use tokenizer::Tokenizer;
pub use train_bpe::{ByteLevelBpe, CountedWords, LearnedVocabulary, train_byte_level_bpe};
pub use truncate::{DEFAULT_HEAD, Truncation};
