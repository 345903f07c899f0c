//! The Hub client against a loopback server that speaks the resolve API.

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::{Hub, HubFailure, HubSettings, Progress, Silent, resolve};
use sha2::{Digest, Sha256};
use support::server::{Reply, Request, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn settings(endpoint: &str, cache: &Path) -> HubSettings {
    HubSettings {
        endpoint: endpoint.to_owned(),
        cache: cache.to_owned(),
        token: Some("hf_secret".to_owned()),
        offline: false,
        answer_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_millis(500),
        retry_pause: Duration::from_millis(2),
        certificates: None,
    }
}

fn hub(server: &Server, cache: &Path) -> Hub {
    Hub::new(&settings(&server.address, cache)).unwrap()
}

fn offline(cache: &Path) -> Hub {
    Hub::new(&HubSettings { offline: true, ..settings("http://127.0.0.1:1", cache) }).unwrap()
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One repository: small files are served by the Hub itself, large ones by a second server.
struct Files {
    small: BTreeMap<&'static str, &'static [u8]>,
    large: BTreeMap<&'static str, Vec<u8>>,
}

fn model_files() -> Files {
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
fn answer(files: &Files, content_server: &str, request: &Request) -> Reply {
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
fn content_server(content: Vec<u8>, cuts: usize) -> Server {
    let answered = AtomicUsize::new(0);
    Server::start(move |request| {
        let start = request.range_start().unwrap_or(0);
        let reply = Reply::new(if start > 0 { 206 } else { 200 })
            .with("content-range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
            .body(&content[start..]);
        if answered.fetch_add(1, Ordering::SeqCst) < cuts { reply.cut_after(100_000) } else { reply }
    })
}

fn model_servers(cuts: usize) -> (Server, Server) {
    let files = model_files();
    let content = content_server(files.large["model.safetensors"].clone(), cuts);
    let address = content.address.clone();
    (Server::start(move |request| answer(&files, &address, request)), content)
}

#[derive(Default)]
struct Recorder {
    files: RefCell<Vec<(String, Option<u64>, u64, bool)>>,
    notices: RefCell<Vec<String>>,
}

impl Progress for Recorder {
    fn start(&self, name: &str, total: Option<u64>) {
        self.files.borrow_mut().push((name.to_owned(), total, 0, false));
    }
    fn advance(&self, bytes: u64) {
        self.files.borrow_mut().last_mut().unwrap().2 += bytes;
    }
    fn finish(&self) {
        self.files.borrow_mut().last_mut().unwrap().3 = true;
    }
    fn notice(&self, message: &str) {
        self.notices.borrow_mut().push(message.to_owned());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn kind(error: &CheckpointError) -> HubFailure {
    match error {
        CheckpointError::Hub { kind, .. } => *kind,
        other => panic!("not a failure of the Hub: {other}"),
    }
}

#[test]
fn a_model_lands_in_the_layout_that_python_shares() {
    let (server, content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &recorder).unwrap();

    let repository = cache.path().join("models--org--model");
    assert_eq!(snapshot, repository.join("snapshots").join(COMMIT));
    assert_eq!(names(&snapshot), ["config.json", "merges.txt", "model.safetensors", "vocab.json"]);
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let weights = &model_files().large["model.safetensors"];
    assert_eq!(&fs::read(snapshot.join("model.safetensors")).unwrap(), weights);
    let link = fs::read_link(snapshot.join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(sha256(weights)));
    assert!(names(&repository.join("blobs")).iter().all(|name| !name.ends_with(".incomplete")));

    let files = recorder.files.borrow();
    assert!(files.iter().all(|(_, total, arrived, finished)| *finished && *total == Some(*arrived)), "{files:?}");
    assert_eq!(files.last().unwrap().0, "model.safetensors", "weights come last");
    assert_eq!(content.requests().len(), 1);
}

#[test]
fn the_token_goes_to_the_hub_only() {
    let (server, content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    let token = |request: &Request| request.header("authorization").map(str::to_owned);
    assert!(server.requests().iter().all(|request| token(request).as_deref() == Some("Bearer hf_secret")));
    assert!(content.requests().iter().all(|request| token(request).is_none()));
}

#[test]
fn a_second_fetch_asks_for_the_listing_only() {
    let (server, _content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path());
    hub.model("org/model", None).fetch(&[], &Silent).unwrap();
    let before = server.requests().len();
    hub.model("org/model", None).fetch(&[], &Silent).unwrap();
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let (server, content) = model_servers(2);
    let cache = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &recorder).unwrap();
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), model_files().large["model.safetensors"]);
    let ranges: Vec<_> = content.requests().iter().map(Request::range_start).collect();
    assert_eq!(ranges, [None, Some(100_000), Some(200_000)]);
    assert_eq!(recorder.notices.borrow().len(), 2);
    assert_eq!(recorder.files.borrow().last().unwrap().2, 300_000);
}

#[test]
fn a_partial_blob_of_an_earlier_run_is_completed() {
    let (server, content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let weights = &model_files().large["model.safetensors"];
    let blobs = cache.path().join("models--org--model/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(weights))), &weights[..250_000]).unwrap();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    assert_eq!(&fs::read(snapshot.join("model.safetensors")).unwrap(), weights);
    assert_eq!(content.requests()[0].range_start(), Some(250_000));
}

#[test]
fn a_connection_that_always_breaks_ends_in_an_error_and_keeps_the_part() {
    let files = model_files();
    let weights = files.large["model.safetensors"].clone();
    let content = Server::start(move |request| match request.range_start() {
        None => Reply::new(200).body(weights.clone()).cut_after(1000),
        Some(_) => Reply::new(503),
    });
    let address = content.address.clone();
    let server = Server::start(move |request| answer(&files, &address, request));
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::Connection);
    let message = error.to_string();
    assert!(message.contains("after 1000 of 300000 bytes") && message.contains("continues"), "{message}");
    let blobs = names(&cache.path().join("models--org--model/blobs"));
    assert_eq!(blobs.iter().filter(|name| name.ends_with(".incomplete")).count(), 1);
    assert!(!cache.path().join("models--org--model/snapshots").join(COMMIT).join("model.safetensors").exists());
}

#[test]
fn a_stalled_transfer_is_noticed() {
    let files = model_files();
    let weights = files.large["model.safetensors"].clone();
    let stalls = AtomicUsize::new(0);
    let content = Server::start(move |request| {
        if stalls.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
        Reply::new(200).body(&weights[request.range_start().unwrap_or(0)..])
    });
    let address = content.address.clone();
    let server = Server::start(move |request| answer(&files, &address, request));
    let cache = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    hub(&server, cache.path()).model("org/model", None).fetch(&[], &recorder).unwrap();
    assert!(recorder.notices.borrow()[0].contains("imeout"), "{:?}", recorder.notices.borrow());
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let files = model_files();
    let weights = files.large["model.safetensors"].clone();
    let answered = AtomicUsize::new(0);
    let content = Server::start(move |_| {
        let reply = Reply::new(200).body(weights.clone());
        if answered.fetch_add(1, Ordering::SeqCst) == 0 { reply.cut_after(5000) } else { reply }
    });
    let address = content.address.clone();
    let server = Server::start(move |request| answer(&files, &address, request));
    let cache = tempfile::tempdir().unwrap();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), model_files().large["model.safetensors"]);
}

#[test]
fn wrong_bytes_are_thrown_away() {
    for (change, expected) in [(0, "SHA-256"), (1, "more bytes")] {
        let files = model_files();
        let mut weights = files.large["model.safetensors"].clone();
        if change == 0 {
            weights[7] ^= 1
        } else {
            weights.push(0)
        }
        let content = content_server(weights, 0);
        let address = content.address.clone();
        let server = Server::start(move |request| answer(&files, &address, request));
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
        assert_eq!(kind(&error), HubFailure::Corrupt);
        assert!(error.to_string().contains(expected), "{error}");
        let blobs = names(&cache.path().join("models--org--model/blobs"));
        assert!(!blobs.iter().any(|name| name.ends_with(".incomplete")), "{blobs:?}");
    }
}

#[test]
fn refusals_are_told_apart() {
    let cases: [(Reply, HubFailure, &[&str]); 7] = [
        (Reply::new(401), HubFailure::AccessDenied, &["access denied (401)", "HF_TOKEN"]),
        (
            Reply::new(403).with("x-error-code", "GatedRepo"),
            HubFailure::AccessDenied,
            &["gated", "accept its terms at", "/org/model", "HF_TOKEN"],
        ),
        (
            Reply::new(404).with("x-error-code", "RepoNotFound"),
            HubFailure::RepositoryNotFound,
            &["org/model: no such repository", "spelling"],
        ),
        (
            Reply::new(401).with("x-error-code", "RepoNotFound"),
            HubFailure::RepositoryNotFound,
            &["no such repository", "private"],
        ),
        (
            Reply::new(404).with("x-error-code", "RevisionNotFound"),
            HubFailure::RevisionNotFound,
            &["has no revision 'main'"],
        ),
        (Reply::new(500), HubFailure::Connection, &["status 500", "try again later"]),
        (Reply::new(200).body("<html>Please log in"), HubFailure::Protocol, &["not the Hub's JSON", "HF_ENDPOINT"]),
    ];
    for (reply, expected, parts) in cases {
        let server = Server::start(move |_| reply.clone());
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
        assert_eq!(kind(&error), expected, "{error}");
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?} are not all in: {message}");
        assert!(!message.contains("hf_secret"), "{message}");
        assert!(names(cache.path()).is_empty(), "nothing is left of a refusal");
    }
}

#[test]
fn an_absent_file_is_an_error_and_remembered() {
    let (server, _content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&server, cache.path()).model("org/model", None).fetch(&["added_tokens.json"], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::FileNotFound);
    assert!(error.to_string().contains("added_tokens.json at revision 'main'"), "{error}");
    let marker = cache.path().join("models--org--model/.no_exist").join(COMMIT).join("added_tokens.json");
    assert_eq!(fs::read(marker).unwrap(), b"");
}

#[test]
fn repositories_without_readable_weights_or_data_say_so() {
    let body =
        serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": "config.json"}, {"rfilename": "tf_model.h5"}]});
    let server = Server::start(move |_| Reply::new(200).body(body.to_string()));
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::FileNotFound);
    assert!(error.to_string().contains("TensorFlow"), "{error}");
}

#[test]
fn offline_uses_the_cache_and_only_the_cache() {
    let (server, _content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let error = offline(cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::OfflineMiss);
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");

    let fetched = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    let asked = server.requests().len();
    for revision in [None, Some("main"), Some(COMMIT)] {
        assert_eq!(offline(cache.path()).model("org/model", revision).fetch(&[], &Silent).unwrap(), fetched);
    }
    let error = offline(cache.path()).model("org/model", None).fetch(&["*.bin"], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::OfflineMiss);
    assert_eq!(server.requests().len(), asked);

    // A snapshot whose blob is gone does not count.
    fs::remove_file(fs::canonicalize(fetched.join("model.safetensors")).unwrap()).unwrap();
    let error = offline(cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::OfflineMiss);
    // And online it is fetched again.
    hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    assert!(fetched.join("model.safetensors").is_file());
}

#[test]
fn without_a_network_the_cache_serves_or_the_error_is_clear() {
    let (server, _content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    let nobody = Hub::new(&settings("http://127.0.0.1:1", cache.path())).unwrap();
    let error = nobody.model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::Connection);
    assert!(error.to_string().contains("cannot reach http://127.0.0.1:1"), "{error}");

    let fetched = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    let recorder = Recorder::default();
    assert_eq!(nobody.model("org/model", None).fetch(&[], &recorder).unwrap(), fetched);
    assert!(recorder.notices.borrow()[0].contains("using the copy in the cache"));
}

#[test]
fn revisions_with_slashes_are_encoded_and_remembered() {
    let server = Server::start(|request| match request.target.as_str() {
        "/api/models/org/model/revision/refs%2Fpr%2F3" => Reply::new(200)
            .body(serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": "my file#1.json"}]}).to_string()),
        _ => Reply::new(200).with("etag", "\"abc\"").body("{}"),
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, cache.path());
    let snapshot = hub.model("org/model", Some("refs/pr/3")).fetch(&["*.json"], &Silent).unwrap();
    assert_eq!(names(&snapshot), ["my file#1.json"]);
    assert_eq!(fs::read_to_string(cache.path().join("models--org--model/refs/refs/pr/3")).unwrap(), COMMIT);
    let target = format!("/org/model/resolve/{COMMIT}/my%20file%231.json");
    assert!(server.requests().iter().any(|request| request.target == target));
}

#[test]
fn a_dataset_is_listed_page_by_page() {
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let own = Arc::clone(&address);
    let server = Server::start(move |request| {
        let tree = format!("/api/datasets/org/data/tree/{COMMIT}?recursive=true");
        let file = |path: &str| serde_json::json!({"type": "file", "path": path, "size": 2});
        let folder = serde_json::json!({"type": "directory", "path": "data"});
        if request.target == "/api/datasets/org/data/revision/main" {
            Reply::new(200).body(serde_json::json!({"sha": COMMIT}).to_string())
        } else if request.target == tree {
            Reply::new(200)
                .with("link", format!("<{}{tree}&cursor=2>; rel=\"next\"", own.get().unwrap()))
                .body(serde_json::json!([folder, file("README.md"), file("data/train.parquet")]).to_string())
        } else if request.target == format!("{tree}&cursor=2") {
            Reply::new(200).body(serde_json::json!([file("data/test.parquet"), file("train.csv")]).to_string())
        } else {
            assert!(request.target.starts_with(&format!("/datasets/org/data/resolve/{COMMIT}/")), "{}", request.target);
            Reply::new(200).with("etag", "\"same\"").body("{}")
        }
    });
    address.set(server.address.clone()).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let snapshot = hub(&server, cache.path()).dataset("org/data", None).fetch(&[], &Silent).unwrap();
    assert!(snapshot.starts_with(cache.path().join("datasets--org--data/snapshots")));
    assert_eq!(names(&snapshot), ["README.md", "data"]);
    assert_eq!(names(&snapshot.join("data")), ["test.parquet", "train.parquet"]);
    let link = fs::read_link(snapshot.join("data/test.parquet")).unwrap();
    assert_eq!(link, Path::new("../../../blobs/same"));
}

#[test]
fn names_that_leave_the_cache_are_refused() {
    for file in ["../../../evil", "/etc/passwd", "a/../../b", "a\\b", ""] {
        let body = serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": file}]}).to_string();
        let server = Server::start(move |_| Reply::new(200).body(body.clone()));
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&server, cache.path()).model("org/model", None).fetch(&["*"], &Silent).unwrap_err();
        assert_eq!(kind(&error), HubFailure::Protocol, "{file}: {error}");
    }
    let hostile_etag = Server::start(|request| {
        let body = serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": "a.json"}]}).to_string();
        if request.target.starts_with("/api") {
            Reply::new(200).body(body)
        } else {
            Reply::new(200).with("etag", "../../x")
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&hostile_etag, cache.path()).model("org/model", None).fetch(&["*"], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::Protocol);
    let hub = hub(&hostile_etag, cache.path());
    for (id, revision) in [("../x", None), ("a/b/c", None), ("a--b", None), ("a/b", Some("../../x")), ("a/b", Some(""))]
    {
        let error = hub.model(id, revision).fetch(&[], &Silent).unwrap_err();
        assert!(matches!(error, CheckpointError::InvalidSetting { .. }), "{id} {revision:?}: {error}");
    }
}

#[test]
fn redirects_without_end_are_given_up() {
    let server = Server::start(|_| Reply::new(302).with("location", "/again"));
    let cache = tempfile::tempdir().unwrap();
    let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
    assert_eq!(kind(&error), HubFailure::Connection);
}

#[test]
fn two_fetches_at_once_download_once() {
    let (server, content) = model_servers(0);
    let cache = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap());
        }
    });
    assert_eq!(content.requests().len(), 1);
}

#[test]
fn a_local_folder_wins_and_an_absent_one_says_what_was_tried() {
    let server = Server::start(|_| Reply::new(404).with("x-error-code", "RepoNotFound"));
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let local = folder.path().to_str().unwrap();
    assert_eq!(resolve(local, None, &hub, &Silent).unwrap(), folder.path());
    assert!(server.requests().is_empty());

    for (name, expected) in [
        ("./models/absent", "no such local folder, and it is no Hub id either"),
        ("/absent/a/b", "no such local folder, and it is no Hub id either"),
        ("models/absent", "no such local folder, and not on the Hub: no such repository"),
    ] {
        let error = resolve(name, None, &hub, &Silent).unwrap_err();
        assert!(matches!(error, CheckpointError::NotFoundAnywhere { .. }));
        assert!(error.to_string().contains(name) && error.to_string().contains(expected), "{error}");
    }
}
