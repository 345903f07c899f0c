//! What the Hub client leaves in the cache, and what it makes of it offline.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::{Hub, HubFailure, Silent, resolve};
use support::hub::{COMMIT, Recorder, hub, kind, model_files, model_servers, offline, settings, sha256};
use support::names;
use support::server::{Reply, Server};

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
    assert!(files.iter().all(|file| file.finished && file.total == Some(file.arrived)), "{files:?}");
    assert_eq!(files.last().unwrap().name, "model.safetensors", "weights come last");
    assert_eq!(content.requests().len(), 1);
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
