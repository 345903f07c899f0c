//! From documents to a tokenized corpus on disk.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serin_checkpoint::save::replace_dir_atomic;
use serin_random::{mix, unit};
use serin_text::Tokenizer;
use xxhash_rust::xxh3::xxh3_64;

use crate::documents::{Document, Documents};
use crate::error::CorpusError;
use crate::header::{CorpusIdentity, HEADER_FILE};
use crate::packing::{Frame, Packer};
use crate::settings::{CorpusSettings, CorpusSources};
use crate::write::CorpusWriter;
use crate::{TRAIN, VALIDATION};

/// Documents are read and tokenized in batches of about this many bytes of text,
const BATCH_BYTES: usize = 4 << 20;
/// and of at most this many documents.
const BATCH_DOCUMENTS: usize = 4096;

/// Keeps the draws of the held-out split apart from those of other hashes with the same seed.
const PURPOSE: u64 = 0x6865_6c64_206f_7574;

/// Hears how far tokenizing is, and may end it.
pub type TokenizeProgress<'a> = dyn FnMut(&TokenizeReport) -> ControlFlow<()> + 'a;

/// What became of the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizeReport {
    /// What is learned from.
    pub train: PartReport,
    /// What is held out; `None` if nothing was to be.
    pub validation: Option<PartReport>,
    /// Documents, rows and lines with nothing but spaces, passed over.
    pub blank: u64,
    /// Documents that were dropped since they are also in the held-out or the excluded files.
    pub duplicates: u64,
    /// Bytes of text so far, of all documents.
    pub text_bytes: u64,
}

/// What became of the documents of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartReport {
    /// Documents.
    pub documents: u64,
    /// Sequences.
    pub sequences: u64,
    /// Tokens of all sequences, special tokens included.
    pub tokens: u64,
    /// Tokens of rests of long documents that were too short to be kept ([`Packing::DocSentences`]).
    ///
    /// [`Packing::DocSentences`]: crate::Packing::DocSentences
    pub dropped_tokens: u64,
}

pub(crate) fn tokenize(
    sources: &CorpusSources,
    tokenizer: &Tokenizer,
    settings: &CorpusSettings,
    folder: &Path,
    progress: &mut TokenizeProgress<'_>,
) -> Result<TokenizeReport, CorpusError> {
    settings.check()?;
    if !sources.validation.is_empty() && settings.validation_fraction > 0.0 {
        let problem = "it cannot be given together with held-out files".into();
        return Err(CorpusError::Setting { field: "validation_fraction", problem });
    }
    let train = Documents::open(&sources.train, &settings.documents)?;
    let validation = match sources.validation.as_slice() {
        [] => None,
        files => Some(Documents::open(files, &settings.documents)?),
    };
    let identity = CorpusIdentity::of(sources, tokenizer, settings)?;
    refuse_other_contents(folder)?;
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(CorpusError::io(parent, "make the folder"))?;
    }
    let mut report = TokenizeReport::default();
    replace_dir_atomic(folder, |staging| {
        let mut run = Run::new(tokenizer, settings, staging)?;
        if !sources.exclude.is_empty() {
            run.exclude(Documents::open(&sources.exclude, &settings.documents)?)?;
        }
        if let Some(documents) = validation {
            run.read(documents, Side::Validation, progress)?;
        }
        run.read(train, Side::Train, progress)?;
        report = run.finish(sources, &identity)?;
        Ok::<(), CorpusError>(())
    })?;
    Ok(report)
}

/// A corpus is replaced, anything else is not.
fn refuse_other_contents(folder: &Path) -> Result<(), CorpusError> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CorpusError::io(folder, "look into the folder")(error)),
    };
    if entries.next().is_some() && !folder.join(TRAIN).join(HEADER_FILE).exists() {
        return Err(CorpusError::FolderInUse { folder: folder.to_owned() });
    }
    Ok(())
}

/// Where the documents of a file go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Validation,
}

/// A corpus in the making.
struct Part {
    packer: Packer,
    writer: CorpusWriter,
    documents: u64,
}

impl Part {
    fn push(&mut self, ids: &[u32]) -> Result<(), CorpusError> {
        self.documents += 1;
        self.packer.push(ids, |sequence| self.writer.push(sequence))
    }

    fn report(&self) -> PartReport {
        PartReport {
            documents: self.documents,
            sequences: self.writer.sequences,
            tokens: self.writer.token_count,
            dropped_tokens: self.packer.dropped,
        }
    }

    fn finish(mut self, identity: &CorpusIdentity) -> Result<PartReport, CorpusError> {
        self.packer.finish(|sequence| self.writer.push(sequence))?;
        let report = self.report();
        self.writer.finish(identity, self.documents)?;
        Ok(report)
    }
}

struct Run<'a> {
    tokenizer: &'a Tokenizer,
    settings: &'a CorpusSettings,
    staging: PathBuf,
    train: Part,
    validation: Option<Part>,
    /// Hashes of documents that are not learned from: those of the held-out files and the excluded ones.
    held_out: HashSet<u64>,
    blank: u64,
    duplicates: u64,
    text_bytes: u64,
}

/// A tokenized document.
struct Tokenized {
    ids: Vec<u32>,
    hash: u64,
    bytes: u64,
}

impl<'a> Run<'a> {
    fn new(tokenizer: &'a Tokenizer, settings: &'a CorpusSettings, staging: &Path) -> Result<Self, CorpusError> {
        let mut run = Self {
            tokenizer,
            settings,
            staging: staging.to_owned(),
            train: Self::part(tokenizer, settings, &staging.join(TRAIN))?,
            validation: None,
            held_out: HashSet::new(),
            blank: 0,
            duplicates: 0,
            text_bytes: 0,
        };
        if settings.validation_fraction > 0.0 {
            run.validation_part()?;
        }
        Ok(run)
    }

    fn part(tokenizer: &Tokenizer, settings: &CorpusSettings, folder: &Path) -> Result<Part, CorpusError> {
        let packer = Packer::new(Frame::of(tokenizer)?, settings.packing, settings.max_length)?;
        Ok(Part { packer, writer: CorpusWriter::create(folder, tokenizer.largest_id())?, documents: 0 })
    }

    fn validation_part(&mut self) -> Result<&mut Part, CorpusError> {
        let part = match self.validation.take() {
            Some(part) => part,
            None => Self::part(self.tokenizer, self.settings, &self.staging.join(VALIDATION))?,
        };
        Ok(self.validation.insert(part))
    }

    /// Takes note of documents that are not to be used.
    fn exclude(&mut self, documents: Documents) -> Result<(), CorpusError> {
        for document in documents {
            self.held_out.insert(document_hash(&document?));
        }
        Ok(())
    }

    /// Takes all documents; while a batch is tokenized, the next is read.
    fn read(
        &mut self,
        mut documents: Documents,
        side: Side,
        progress: &mut TokenizeProgress<'_>,
    ) -> Result<(), CorpusError> {
        let (tokenizer, settings, blank) = (self.tokenizer, self.settings, self.blank);
        let mut batch = next_batch(&mut documents)?;
        while !batch.is_empty() {
            let tokenized = || -> Result<Vec<Tokenized>, CorpusError> {
                batch.par_iter().map(|document| tokenized(document, tokenizer, settings)).collect()
            };
            let (tokenized, next) = rayon::join(tokenized, || next_batch(&mut documents));
            for document in tokenized? {
                self.text_bytes += document.bytes;
                self.take(&document, side)?;
            }
            self.blank = blank + documents.blank();
            batch = next?;
            if progress(&self.report()).is_break() {
                return Err(CorpusError::Interrupted);
            }
        }
        Ok(())
    }

    fn take(&mut self, document: &Tokenized, side: Side) -> Result<(), CorpusError> {
        let fraction = self.settings.validation_fraction;
        if side == Side::Validation {
            self.held_out.insert(document.hash);
            self.validation_part()?.push(&document.ids)
        } else if self.held_out.contains(&document.hash) {
            self.duplicates += 1;
            Ok(())
        } else if fraction > 0.0 && unit(mix(mix(self.settings.seed ^ PURPOSE) ^ document.hash)) < fraction {
            self.validation_part()?.push(&document.ids)
        } else {
            self.train.push(&document.ids)
        }
    }

    fn report(&self) -> TokenizeReport {
        TokenizeReport {
            train: self.train.report(),
            validation: self.validation.as_ref().map(Part::report),
            blank: self.blank,
            duplicates: self.duplicates,
            text_bytes: self.text_bytes,
        }
    }

    fn finish(self, sources: &CorpusSources, identity: &CorpusIdentity) -> Result<TokenizeReport, CorpusError> {
        let mut report = self.report();
        report.train = self.train.finish(identity)?;
        report.validation = self.validation.map(|part| part.finish(identity)).transpose()?;
        let empty = |files: &[PathBuf], reason: &str| {
            let path = files.first().cloned().unwrap_or_default();
            Err(CorpusError::NoDocuments { path, reason: reason.to_owned() })
        };
        if report.train.sequences == 0 {
            return empty(&sources.train, "nothing is left to learn from beside what is held out");
        }
        match report.validation {
            Some(PartReport { sequences: 0, .. }) if !sources.validation.is_empty() => {
                empty(&sources.validation, "the tokenizer makes no token of it")
            }
            Some(PartReport { sequences: 0, .. }) => {
                let fraction = self.settings.validation_fraction;
                let problem = format!(
                    "of {} documents, {fraction} holds out none\nhint: --validation-fraction takes a larger share, \
                     --validation-file other text",
                    report.train.documents
                );
                Err(CorpusError::Setting { field: "validation_fraction", problem })
            }
            _ => Ok(report),
        }
    }
}

fn next_batch(documents: &mut Documents) -> Result<Vec<Document>, CorpusError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES && batch.len() < BATCH_DOCUMENTS {
        let Some(document) = documents.next().transpose()? else { break };
        bytes += document.text.len();
        batch.push(document);
    }
    Ok(batch)
}

fn tokenized(document: &Document, tokenizer: &Tokenizer, settings: &CorpusSettings) -> Result<Tokenized, CorpusError> {
    let text = settings.normalization.apply(&document.text);
    let ids = tokenizer
        .content_ids(&text)
        .map_err(|source| CorpusError::Tokenize { at: document.at.clone(), source: Box::new(source) })?;
    Ok(Tokenized { ids, hash: document_hash(document), bytes: document.text.len() as u64 })
}

/// What tells a document from others; spaces around it do not.
fn document_hash(document: &Document) -> u64 {
    xxh3_64(document.text.trim().as_bytes())
}
