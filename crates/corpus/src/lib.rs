//! Text for masked language modelling: documents, files of token ids, masks.
//!
//! [`Documents`] streams the documents of text files in constant memory. [`Corpus::tokenize`] turns them into sequences
//! of token ids in memory-mapped files, and [`Masking`] chooses what of a sequence is to be guessed.
//!
//! ```no_run
//! use serin_corpus::{Corpus, CorpusSettings, CorpusSources, Masking, TRAIN};
//! use serin_text::Tokenizer;
//! use std::ops::ControlFlow;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokenizer = Tokenizer::from_dir("tokenizer".as_ref(), "roberta", 128)?;
//! let settings = CorpusSettings { max_length: 128, validation_fraction: 0.01, ..CorpusSettings::default() };
//! let sources = CorpusSources { train: vec!["reviews.parquet".into(), "books.txt.gz".into()], ..CorpusSources::default() };
//! let folder = "corpus".as_ref();
//! Corpus::tokenize(&sources, &tokenizer, &settings, folder, &mut |_| ControlFlow::Continue(()))?;
//!
//! let corpus = Corpus::open(&folder.join(TRAIN))?;
//! corpus.check(&sources, &tokenizer, &settings)?;
//! let masking = Masking::new(&tokenizer, 0.15, 42)?;
//! let mut ids = corpus.sequence(0);
//! let (mut positions, mut targets) = (Vec::new(), Vec::new());
//! masking.apply(0, 0, &mut ids, &mut positions, &mut targets);
//! # Ok(())
//! # }
//! ```

mod corpus;
mod documents;
mod error;
mod header;
mod masking;
mod packing;
mod settings;
mod tokenize;
mod write;

pub use corpus::Corpus;
pub use documents::{Document, DocumentOptions, Documents};
pub use error::CorpusError;
pub use header::{CorpusIdentity, SourceFile};
pub use masking::Masking;
pub use settings::{CorpusSettings, CorpusSources, Packing};
pub use tokenize::{PartReport, TokenizeProgress, TokenizeReport};

/// The folder of the part that is learned from, inside the folder that [`Corpus::tokenize`] writes.
pub const TRAIN: &str = "train";
/// The folder of the held-out part.
pub const VALIDATION: &str = "validation";
