//! What the Hub refuses or gets wrong, told apart and explained.

mod support;

use std::fs;

use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::{HubFailure, Silent};
use support::hub::{COMMIT, answer, hub, kind, model_files, model_servers};
use support::names;
use support::server::{Reply, Server};

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

/// A gated repository can be listed by everybody; only its files are refused.
#[test]
fn files_are_refused_with_the_same_care_as_listings() {
    let cases = [
        (403, "GatedRepo", HubFailure::AccessDenied, "accept its terms at"),
        (404, "EntryNotFound", HubFailure::FileNotFound, "has no file 'config.json' at revision 'main'"),
        (401, "", HubFailure::AccessDenied, "HF_TOKEN"),
        (503, "", HubFailure::Connection, "status 503"),
    ];
    for (status, code, expected, part) in cases {
        let server = Server::start(move |request| match request.target.as_str() {
            "/api/models/org/model/revision/main" => answer(&model_files(), "", request),
            _ => Reply::new(status).with("x-error-code", code),
        });
        let cache = tempfile::tempdir().unwrap();
        let error = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap_err();
        assert_eq!(kind(&error), expected, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}
