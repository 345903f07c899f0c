//! A Hub with one model repository on the loopback, and a client for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::{Hub, HubFailure, HubSettings, Progress};
use sha2::{Digest, Sha256};

use super::server::{Reply, Request, Server};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) fn settings(endpoint: &str, cache: &Path) -> HubSettings {
    HubSettings {
        endpoint: endpoint.to_owned(),
        cache: cache.to_owned(),
        token: Some("hf_secret".to_owned()),
        offline: false,
        answer_timeout: Duration::from_secs(20),
        stall_timeout: Duration::from_secs(20),
        retry_pause: Duration::from_millis(2),
        certificates: None,
    }
}

pub(crate) fn hub(server: &Server, cache: &Path) -> Hub {
    Hub::new(&settings(&server.address, cache)).unwrap()
}

pub(crate) fn offline(cache: &Path) -> Hub {
    Hub::new(&HubSettings { offline: true, ..settings("http://127.0.0.1:1", cache) }).unwrap()
}

pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One repository: small files are served by the Hub itself, large ones by a second server.
pub(crate) struct Files {
    pub(crate) small: BTreeMap<&'static str, &'static [u8]>,
    pub(crate) large: BTreeMap<&'static str, Vec<u8>>,
}

pub(crate) fn model_files() -> Files {
    let weights: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    Files {
        small: [
            ("config.json", b"{\"model_type\": \"roberta\"}".as_slice()),
            ("vocab.json", b"{}"),
            ("merges.txt", b""),
            ("tf_model.h5", b"no"),
            ("onnx/model.onnx", b"no"),
        ]
        .into(),
        large: [("model.safetensors", weights)].into(),
    }
}

/// Answers as the Hub does for `org/model` at `main`, and the commit's files.
pub(crate) fn answer(files: &Files, content_server: &str, request: &Request) -> Reply {
    if request.target == "/api/models/org/model/revision/main" {
        let names = files.small.keys().chain(files.large.keys());
        let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
        return Reply::new(200).body(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string());
    }
    let name = request.target.strip_prefix(&format!("/org/model/resolve/{COMMIT}/")).unwrap_or_default();
    if let Some(content) = files.small.get(name) {
        // The Hub answers small files by way of a relative redirect.
        return Reply::new(307).with("location", format!("/cached/{name}?size={}", content.len()));
    }
    if let Some(content) =
        request.target.strip_prefix("/cached/").and_then(|rest| files.small.get(rest.split('?').next()?))
    {
        let etag = format!("W/\"{}\"", &sha256(content)[..40]);
        return Reply::new(200).with("x-repo-commit", COMMIT).with("etag", etag).body(*content);
    }
    match files.large.get(name) {
        Some(content) => Reply::new(302)
            .with("x-repo-commit", COMMIT)
            .with("x-linked-etag", format!("\"{}\"", sha256(content)))
            .with("x-linked-size", content.len())
            .with("location", format!("{content_server}/blob/{name}?signature=x")),
        None => Reply::new(404).with("x-error-code", "EntryNotFound"),
    }
}

/// Serves a large file with ranges, cutting the first `cuts` answers after 100,000 bytes.
pub(crate) fn content_server(content: Vec<u8>, cuts: usize) -> Server {
    let answered = AtomicUsize::new(0);
    Server::start(move |request| {
        let start = request.range_start().unwrap_or(0);
        let reply = Reply::new(if start > 0 { 206 } else { 200 })
            .with("content-range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
            .body(&content[start..]);
        if answered.fetch_add(1, Ordering::SeqCst) < cuts { reply.cut_after(100_000) } else { reply }
    })
}

pub(crate) fn model_servers(cuts: usize) -> (Server, Server) {
    let files = model_files();
    let content = content_server(files.large["model.safetensors"].clone(), cuts);
    let address = content.address.clone();
    (Server::start(move |request| answer(&files, &address, request)), content)
}

#[derive(Debug)]
pub(crate) struct RecordedFile {
    pub(crate) name: String,
    pub(crate) total: Option<u64>,
    pub(crate) arrived: u64,
    pub(crate) finished: bool,
}

/// Notes down what a progress bar would have been told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) files: RefCell<Vec<RecordedFile>>,
    pub(crate) notices: RefCell<Vec<String>>,
}

impl Progress for Recorder {
    fn start(&self, name: &str, total: Option<u64>) {
        self.files.borrow_mut().push(RecordedFile { name: name.to_owned(), total, arrived: 0, finished: false });
    }
    fn advance(&self, bytes: u64) {
        self.files.borrow_mut().last_mut().unwrap().arrived += bytes;
    }
    fn finish(&self) {
        self.files.borrow_mut().last_mut().unwrap().finished = true;
    }
    fn notice(&self, message: &str) {
        self.notices.borrow_mut().push(message.to_owned());
    }
}

pub(crate) fn kind(error: &CheckpointError) -> HubFailure {
    match error {
        CheckpointError::Hub { kind, .. } => *kind,
        other => panic!("not a failure of the Hub: {other}"),
    }
}
