//! One file from the Hub to a blob: its description by HEAD, its bytes by GET, resumed where a
//! connection broke, checked before it counts.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{Response, header};

use super::cache::{RepositoryCache, create_parent};
use super::failure::{failure, no_connection, refusal};
use super::http::{Client, LINKED_ETAG, is_passing};
use super::progress::Progress;
use super::repository::Repository;
use crate::CheckpointError;
use crate::error::HubFailure;

/// Attempts in a row that bring no new byte.
const FRUITLESS_ATTEMPTS: u32 = 5;
const BUFFER_BYTES: usize = 256 << 10;

/// Fetches one file of a commit into its snapshot.
pub(super) fn fetch_file(
    client: &Client,
    cache: &RepositoryCache,
    repository: &Repository,
    commit: &str,
    file: &str,
    progress: &dyn Progress,
) -> Result<(), CheckpointError> {
    let url = repository.file_url(client.endpoint(), commit, file);
    let description = describe(client, repository, &url, file)?;
    let blob = cache.blob(&description.etag);
    let _lock = cache.lock(&description.etag, progress)?;
    if !blob.is_file() {
        let incomplete = cache.blob(&format!("{}.incomplete", description.etag));
        create_parent(&blob)?;
        let download =
            Download { client, repository, name: file, url, description: &description, incomplete, progress };
        download.run()?;
        let renamed = fs::rename(&download.incomplete, &blob);
        renamed.map_err(|error| CheckpointError::io(&blob, "finish the download", error))?;
        progress.finish();
    }
    cache.link(commit, file, &description.etag)
}

/// What the Hub says of a file before its bytes.
struct Description {
    /// The blob's name: SHA-256 of large files, the git hash of small ones.
    etag: String,
    size: Option<u64>,
}

fn describe(client: &Client, repository: &Repository, url: &str, file: &str) -> Result<Description, CheckpointError> {
    let response = client.head(url).map_err(|error| no_connection(repository, client.endpoint(), &error))?;
    let status = response.status();
    if !status.is_success() && !status.is_redirection() {
        return Err(refusal(repository, client.endpoint(), client.has_token(), &format!("file '{file}'"), &response));
    }
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let etag = text(LINKED_ETAG).or_else(|| text("etag")).map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
    let Some(etag) = etag.filter(|etag| is_plain_name(etag)) else {
        let hint = "is HF_ENDPOINT a Hub, and does no proxy or login page stand between?";
        return Err(failure(
            HubFailure::Protocol,
            repository,
            format!("file '{file}' came without a usable etag"),
            hint,
        ));
    };
    // A redirect's own length says nothing about the file.
    let length = if status.is_redirection() { None } else { text("content-length") };
    let size = text("x-linked-size").or(length).and_then(|size| size.parse().ok());
    Ok(Description { etag: etag.to_owned(), size })
}

/// An etag becomes a file name, so it may hold nothing else than one.
fn is_plain_name(etag: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=200).contains(&etag.len()) && etag.bytes().all(plain) && !etag.starts_with('.')
}

struct Download<'a> {
    client: &'a Client,
    repository: &'a Repository,
    name: &'a str,
    url: String,
    description: &'a Description,
    incomplete: PathBuf,
    progress: &'a dyn Progress,
}

/// How one attempt ended.
enum Attempt {
    Complete,
    /// Worth another attempt, for this reason.
    Broken(String),
}

impl Download<'_> {
    fn run(&self) -> Result<(), CheckpointError> {
        let mut file = self.open()?;
        self.transfer(&mut file)?;
        self.check(&mut file)?;
        file.sync_all().map_err(|error| self.io("write the download", error))
    }

    fn open(&self) -> Result<File, CheckpointError> {
        let opened = File::options().read(true).append(true).create(true).open(&self.incomplete);
        opened.map_err(|error| self.io("write the download", error))
    }

    fn transfer(&self, file: &mut File) -> Result<(), CheckpointError> {
        let mut fruitless = 0;
        let mut arrived = self.arrived(file)?;
        self.begin(arrived);
        loop {
            match self.attempt(file)? {
                Attempt::Complete => return Ok(()),
                Attempt::Broken(reason) => {
                    let now = self.arrived(file)?;
                    fruitless = if now > arrived { 0 } else { fruitless + 1 };
                    arrived = now;
                    if fruitless >= FRUITLESS_ATTEMPTS {
                        return Err(self.given_up(arrived, &reason));
                    }
                    self.progress.notice(&format!("{}: {reason}; trying again", self.name));
                    self.client.pause(fruitless + 1);
                }
            }
        }
    }

    /// Asks for what is missing and appends it.
    fn attempt(&self, file: &mut File) -> Result<Attempt, CheckpointError> {
        let mut have = self.arrived(file)?;
        match self.description.size {
            Some(size) if have == size => return Ok(Attempt::Complete),
            Some(size) if have > size => have = self.restart(file)?,
            _ => {}
        }
        let mut response = match self.client.get_from(&self.url, have) {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Broken(error.to_string())),
        };
        match response.status().as_u16() {
            206 if range_start(&response) == Some(have) => {}
            // It sends the whole file, or another part than the one asked for.
            200 if have > 0 => drop(self.restart(file)?),
            200 => {}
            206 | 416 => {
                self.restart(file)?;
                return Ok(Attempt::Broken("the server cannot resume it".to_owned()));
            }
            status if is_passing(status) => return Ok(Attempt::Broken(format!("the server answers {status}"))),
            _ => {
                let what = format!("file '{}'", self.name);
                let (endpoint, token) = (self.client.endpoint(), self.client.has_token());
                return Err(refusal(self.repository, endpoint, token, &what, &response));
            }
        }
        self.append(file, response.body_mut())
    }

    fn append(&self, file: &mut File, body: &mut Body) -> Result<Attempt, CheckpointError> {
        let mut arrived = self.arrived(file)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut reader = body.as_reader();
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) if self.description.size.is_none_or(|size| arrived >= size) => return Ok(Attempt::Complete),
                Ok(0) => return Ok(Attempt::Broken("the connection was cut".to_owned())),
                Ok(count) => count,
                Err(error) => return Ok(Attempt::Broken(format!("the connection was cut ({error})"))),
            };
            arrived += count as u64;
            if self.description.size.is_some_and(|size| arrived > size) {
                return Err(self.corrupt("more bytes arrive than were announced".to_owned()));
            }
            let piece = buffer.get(..count).unwrap_or_default();
            file.write_all(piece).map_err(|error| self.io("write the download", error))?;
            self.progress.advance(count as u64);
        }
    }

    /// Compares the SHA-256 of a large file with its etag; the size was reached exactly.
    fn check(&self, file: &mut File) -> Result<(), CheckpointError> {
        let etag = &self.description.etag;
        if etag.len() != 64 || !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(());
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        file.rewind().map_err(|error| self.io("read the download", error))?;
        loop {
            let count = file.read(&mut buffer).map_err(|error| self.io("read the download", error))?;
            if count == 0 {
                break;
            }
            hash.update(buffer.get(..count).unwrap_or_default());
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(etag) {
            return Ok(());
        }
        Err(self.corrupt(format!("its SHA-256 is {found}, {etag} was announced")))
    }

    fn arrived(&self, file: &File) -> Result<u64, CheckpointError> {
        file.metadata().map(|metadata| metadata.len()).map_err(|error| self.io("read the download", error))
    }

    fn begin(&self, arrived: u64) {
        self.progress.start(self.name, self.description.size);
        if arrived > 0 {
            self.progress.advance(arrived);
        }
    }

    fn restart(&self, file: &File) -> Result<u64, CheckpointError> {
        file.set_len(0).map_err(|error| self.io("write the download", error))?;
        self.begin(0);
        Ok(0)
    }

    fn io(&self, action: &'static str, error: std::io::Error) -> CheckpointError {
        CheckpointError::io(&self.incomplete, action, error)
    }

    /// The bytes are wrong, so that resuming would keep them: they are removed.
    fn corrupt(&self, reason: String) -> CheckpointError {
        remove(&self.incomplete);
        let reason = format!("file '{}': {reason}", self.name);
        failure(HubFailure::Corrupt, self.repository, reason, "the download was removed: try again")
    }

    fn given_up(&self, arrived: u64, reason: &str) -> CheckpointError {
        let size = self.description.size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
        let reason = format!("file '{}' broke off after {arrived} of {size} bytes: {reason}", self.name);
        let hint = "check the network; the next run continues where this one stopped";
        failure(HubFailure::Connection, self.repository, reason, hint)
    }
}

/// Where the bytes of a partial answer begin: `Content-Range: bytes START-END/TOTAL`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// A failure to remove shows at the next attempt, which finds the same bytes wrong again.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}
