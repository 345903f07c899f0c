//! The Hub's refusals, told apart by status and `x-error-code` and turned into advice.

use ureq::Body;
use ureq::http::Response;

use super::repository::Repository;
use crate::error::HubFailure;
use crate::{CheckpointError, Hint};

/// A failure about `repository`.
pub(super) fn failure(
    kind: HubFailure,
    repository: &Repository,
    reason: impl Into<String>,
    hint: impl Into<Hint>,
) -> CheckpointError {
    CheckpointError::Hub { kind, repository: repository.to_string(), reason: reason.into(), hint: hint.into() }
}

/// The connection could not be made or broke.
pub(super) fn no_connection(repository: &Repository, endpoint: &str, error: &dyn std::fmt::Display) -> CheckpointError {
    let hint = "check the network, HTTPS_PROXY and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is in the cache";
    failure(HubFailure::Connection, repository, format!("cannot reach {endpoint}: {error}"), hint)
}

/// An answer other than success, to a request for `what`.
pub(super) fn refusal(
    repository: &Repository,
    endpoint: &str,
    token_sent: bool,
    what: &str,
    response: &Response<Body>,
) -> CheckpointError {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = response.status().as_u16();
    let page = repository.page(endpoint);
    let revision = &repository.revision;
    match (header("x-error-code"), status) {
        ("GatedRepo", _) => {
            let hint = format!("accept its terms at {page}, then set HF_TOKEN to a token of that account");
            failure(HubFailure::AccessDenied, repository, "access to it is gated", hint)
        }
        ("RevisionNotFound", _) => {
            let reason = format!("has no revision '{revision}'");
            failure(
                HubFailure::RevisionNotFound,
                repository,
                reason,
                format!("its branches and tags are listed at {page}"),
            )
        }
        ("EntryNotFound", _) => {
            let reason = format!("has no {what} at revision '{revision}'");
            failure(HubFailure::FileNotFound, repository, reason, format!("its files are listed at {page}"))
        }
        ("RepoNotFound", _) | (_, 404) => {
            let hint = "check the spelling; for a private repository set HF_TOKEN";
            failure(HubFailure::RepositoryNotFound, repository, format!("no such repository at {endpoint}"), hint)
        }
        (_, 401 | 403) => {
            let hint = if token_sent {
                format!("HF_TOKEN (or the token of 'hf auth login') is expired or may not read {page}")
            } else {
                format!("check the spelling; if it is private or gated, get access at {page} and set HF_TOKEN")
            };
            failure(HubFailure::AccessDenied, repository, format!("access denied ({status})"), hint)
        }
        (_, 429) => {
            let hint = "wait a few minutes; a token (HF_TOKEN) raises the limit";
            failure(HubFailure::Connection, repository, "too many requests (429)", hint)
        }
        _ => {
            let reason =
                format!("the answer to the request for {what} was status {status} {}", header("x-error-message"));
            let hint = if status >= 500 { "the server has a problem: try again later".into() } else { Hint::NONE };
            failure(HubFailure::Connection, repository, reason.trim_end(), hint)
        }
    }
}
