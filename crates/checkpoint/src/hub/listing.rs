//! Which commit a revision is, and which files it has.

use serde::Deserialize;
use ureq::Body;
use ureq::http::{Response, header};

use super::failure::{failure, no_connection, refusal};
use super::http::{Client, join};
use super::repository::{Kind, Repository, is_commit, is_safe_path};
use crate::error::HubFailure;
use crate::{CheckpointError, Hint};

/// A page of a listing; a thousand files take 300 kB.
const MAX_PAGE_BYTES: u64 = 64 << 20;
/// Far more files than any repository that this client is for.
const MAX_PAGES: usize = 10_000;

/// A revision, pinned.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    /// Paths inside the repository, checked to stay inside it.
    pub(super) files: Vec<String>,
}

#[derive(Deserialize)]
struct RevisionInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

#[derive(Deserialize)]
struct TreeEntry {
    path: String,
    r#type: String,
}

/// Asks the Hub. A model's files come with the answer; a dataset may have very many, so its tree is
/// read page by page.
pub(super) fn list(client: &Client, repository: &Repository) -> Result<Listing, CheckpointError> {
    let (info, _) = get_json::<RevisionInfo>(client, repository, &repository.info_url(client.endpoint()))?;
    if !is_commit(&info.sha) {
        return Err(protocol(repository, format!("the Hub named '{}' as its commit", info.sha)));
    }
    let files = match repository.kind {
        Kind::Model => info.siblings.into_iter().map(|sibling| sibling.rfilename).collect(),
        Kind::Dataset => list_tree(client, repository, &info.sha)?,
    };
    if let Some(file) = files.iter().find(|file| !is_safe_path(file)) {
        return Err(protocol(repository, format!("it lists a file outside of itself ('{file}'): refused")));
    }
    Ok(Listing { commit: info.sha, files })
}

fn list_tree(client: &Client, repository: &Repository, commit: &str) -> Result<Vec<String>, CheckpointError> {
    let mut files = Vec::new();
    let mut url = repository.tree_url(client.endpoint(), commit);
    for _ in 0..MAX_PAGES {
        let (entries, next) = get_json::<Vec<TreeEntry>>(client, repository, &url)?;
        files.extend(entries.into_iter().filter(|entry| entry.r#type == "file").map(|entry| entry.path));
        match next {
            Some(next) => url = join(&url, &next),
            None => return Ok(files),
        }
    }
    Err(protocol(repository, format!("its listing does not end after {MAX_PAGES} pages")))
}

/// A JSON answer and the address of its next page.
fn get_json<T: serde::de::DeserializeOwned>(
    client: &Client,
    repository: &Repository,
    url: &str,
) -> Result<(T, Option<String>), CheckpointError> {
    let mut response = client.get(url).map_err(|error| no_connection(repository, client.endpoint(), &error))?;
    if !response.status().is_success() {
        return Err(refusal(repository, client.endpoint(), client.has_token(), "listing", &response));
    }
    let next = next_page(&response);
    let body = response.body_mut().with_config().limit(MAX_PAGE_BYTES).read_to_vec();
    let body = body.map_err(|error| no_connection(repository, client.endpoint(), &error))?;
    let parsed = serde_json::from_slice(&body).map_err(|error| {
        protocol(repository, format!("the answer of {} is not the Hub's JSON: {error}", client.endpoint()))
    })?;
    Ok((parsed, next))
}

/// The target of `Link: <…>; rel="next"` (RFC 8288).
fn next_page(response: &Response<Body>) -> Option<String> {
    let link = response.headers().get(header::LINK)?.to_str().ok()?;
    link.split(',').find_map(|part| {
        let (target, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| target.to_owned())
    })
}

fn protocol(repository: &Repository, reason: String) -> CheckpointError {
    let hint: Hint = "is HF_ENDPOINT a Hub, and does no proxy or login page stand between?".into();
    failure(HubFailure::Protocol, repository, reason, hint)
}
