//! Every environment variable that the Hub client obeys, and the settings they add up to.
//!
//! Names, precedence and defaults are those of Python's `huggingface_hub` (its `constants.py`).

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{CheckpointError, Hint};

/// Address of the Hub or of a mirror. Default `https://huggingface.co`.
pub const HF_ENDPOINT: &str = "HF_ENDPOINT";
/// Folder of the cache and the token. Default `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`.
pub const HF_HOME: &str = "HF_HOME";
/// Folder of downloaded repositories. Default `$HF_HOME/hub`.
pub const HF_HUB_CACHE: &str = "HF_HUB_CACHE";
/// Older name of [`HF_HUB_CACHE`].
pub const HUGGINGFACE_HUB_CACHE: &str = "HUGGINGFACE_HUB_CACHE";
/// Access token for private and gated repositories.
pub const HF_TOKEN: &str = "HF_TOKEN";
/// Older name of [`HF_TOKEN`].
pub const HUGGING_FACE_HUB_TOKEN: &str = "HUGGING_FACE_HUB_TOKEN";
/// File with the access token. Default `$HF_HOME/token`, where `hf auth login` writes it.
pub const HF_TOKEN_PATH: &str = "HF_TOKEN_PATH";
/// If true (`1`, `on`, `yes`, `true`), no token is sent.
pub const HF_HUB_DISABLE_IMPLICIT_TOKEN: &str = "HF_HUB_DISABLE_IMPLICIT_TOKEN";
/// If true, nothing is downloaded: only the cache is used.
pub const HF_HUB_OFFLINE: &str = "HF_HUB_OFFLINE";
/// The same, by its name in `transformers`.
pub const TRANSFORMERS_OFFLINE: &str = "TRANSFORMERS_OFFLINE";
/// Seconds to wait for a connection and for an answer's first byte. Default 10.
pub const HF_HUB_ETAG_TIMEOUT: &str = "HF_HUB_ETAG_TIMEOUT";
/// Seconds without a byte after which a transfer counts as broken. Default 10.
pub const HF_HUB_DOWNLOAD_TIMEOUT: &str = "HF_HUB_DOWNLOAD_TIMEOUT";
/// File of root certificates (PEM) to trust instead of the built-in Mozilla ones, as behind a company's proxy.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// The same, by its name in Python's `requests`.
pub const REQUESTS_CA_BUNDLE: &str = "REQUESTS_CA_BUNDLE";
/// Base of the default [`HF_HOME`].
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's folder, for `~`.
pub const HOME: &str = "HOME";

/// `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY` and `NO_PROXY` are read by the HTTP library itself.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the environment says, or a caller instead of it.
#[derive(Clone)]
pub struct HubSettings {
    /// Address without a final slash.
    pub endpoint: String,
    /// Folder that holds `models--…` and `datasets--…`.
    pub cache: PathBuf,
    /// Access token; sent to `endpoint` only.
    pub token: Option<String>,
    /// Use the cache only.
    pub offline: bool,
    /// Wait for a connection and for an answer.
    pub answer_timeout: Duration,
    /// Wait between two pieces of a transfer.
    pub stall_timeout: Duration,
    /// Pause before the first retry; doubled for each further one.
    pub retry_pause: Duration,
    /// PEM file of root certificates instead of the built-in ones.
    pub certificates: Option<PathBuf>,
}

impl fmt::Debug for HubSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl HubSettings {
    /// The settings of this process's environment.
    ///
    /// # Errors
    /// [`CheckpointError::InvalidSetting`] for a variable that cannot be meant; a token file that
    /// exists but cannot be read.
    pub fn from_env() -> Result<Self, CheckpointError> {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// The same from any source of variables.
    ///
    /// # Errors
    /// As [`HubSettings::from_env`].
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, CheckpointError> {
        let variables = Variables(variable);
        let home = match (variables.path(HF_HOME)?, variables.path(XDG_CACHE_HOME)?) {
            (Some(home), _) => home,
            (None, Some(cache)) => cache.join("huggingface"),
            (None, None) => variables.user_folder()?.join(".cache/huggingface"),
        };
        let cache = match variables.path(HF_HUB_CACHE)? {
            Some(cache) => Some(cache),
            None => variables.path(HUGGINGFACE_HUB_CACHE)?,
        };
        let certificates = match variables.path(SSL_CERT_FILE)? {
            Some(file) => Some(file),
            None => variables.path(REQUESTS_CA_BUNDLE)?,
        };
        Ok(Self {
            endpoint: variables.endpoint()?,
            cache: cache.unwrap_or_else(|| home.join("hub")),
            token: variables.token(&home)?,
            offline: variables.is_true(HF_HUB_OFFLINE) || variables.is_true(TRANSFORMERS_OFFLINE),
            answer_timeout: variables.seconds(HF_HUB_ETAG_TIMEOUT)?,
            stall_timeout: variables.seconds(HF_HUB_DOWNLOAD_TIMEOUT)?,
            retry_pause: Duration::from_secs(1),
            certificates: certificates.filter(|file| file.is_file()),
        })
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    /// A variable's text; an empty one counts as absent.
    fn text(&self, name: &'static str) -> Result<Option<String>, CheckpointError> {
        match (self.0)(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(value)) => Err(invalid(name, &value.to_string_lossy(), "is not UTF-8")),
        }
    }

    fn is_true(&self, name: &str) -> bool {
        let value = (self.0)(name).unwrap_or_default().to_ascii_lowercase();
        ["1", "on", "yes", "true"].iter().any(|truth| value == *truth)
    }

    fn user_folder(&self) -> Result<PathBuf, CheckpointError> {
        let home = (self.0)(HOME).filter(|home| !home.is_empty()).map(PathBuf::from);
        home.or_else(std::env::home_dir)
            .ok_or_else(|| invalid(HOME, "", "is not set, so the cache has no place; set HF_HOME"))
    }

    /// A folder or file, with a leading `~` replaced by the user's folder.
    fn path(&self, name: &str) -> Result<Option<PathBuf>, CheckpointError> {
        let Some(path) = (self.0)(name).filter(|path| !path.is_empty()).map(PathBuf::from) else {
            return Ok(None);
        };
        match path.strip_prefix("~") {
            Ok(rest) => Ok(Some(self.user_folder()?.join(rest))),
            Err(_) => Ok(Some(path)),
        }
    }

    fn endpoint(&self) -> Result<String, CheckpointError> {
        let endpoint = self.text(HF_ENDPOINT)?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        match rest {
            Some(host) if !host.is_empty() => Ok(endpoint),
            _ => Err(invalid(HF_ENDPOINT, &endpoint, "must begin with https:// or http:// and name a host")),
        }
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, CheckpointError> {
        let Some(text) = self.text(name)? else { return Ok(DEFAULT_TIMEOUT) };
        match text.trim().parse::<u64>() {
            Ok(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
            _ => Err(invalid(name, &text, "must be a whole number of seconds, at least 1")),
        }
    }

    fn token(&self, home: &Path) -> Result<Option<String>, CheckpointError> {
        if self.is_true(HF_HUB_DISABLE_IMPLICIT_TOKEN) {
            return Ok(None);
        }
        for name in [HF_TOKEN, HUGGING_FACE_HUB_TOKEN] {
            if let Some(token) = self.text(name)? {
                return clean_token(name, &token);
            }
        }
        let file = self.path(HF_TOKEN_PATH)?.unwrap_or_else(|| home.join("token"));
        match fs::read_to_string(&file) {
            Ok(token) => clean_token(HF_TOKEN_PATH, &token),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CheckpointError::io(&file, "read the access token", error)),
        }
    }
}

/// A token without surrounding white space; the value never appears in a message.
fn clean_token(name: &'static str, token: &str) -> Result<Option<String>, CheckpointError> {
    let token = token.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(name, "(hidden)", "holds characters that no token has"));
    }
    Ok(Some(token.to_owned()).filter(|token| !token.is_empty()))
}

fn invalid(what: &'static str, value: &str, reason: &str) -> CheckpointError {
    CheckpointError::InvalidSetting { what, value: value.to_owned(), reason: reason.to_owned(), hint: Hint::NONE }
}
