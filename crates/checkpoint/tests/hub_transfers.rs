//! Bytes from the Hub: resumed, checked, and asked for with the token only where it belongs.

mod support;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serin_checkpoint::hub::{Hub, HubFailure, HubSettings, Silent};
use support::hub::{COMMIT, Recorder, answer, content_server, hub, kind, model_files, model_servers, settings, sha256};
use support::names;
use support::server::{Reply, Request, Server};

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
fn a_cut_connection_is_resumed_where_it_broke() {
    let (server, content) = model_servers(2);
    let cache = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &recorder).unwrap();
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), model_files().large["model.safetensors"]);
    let ranges: Vec<_> = content.requests().iter().map(Request::range_start).collect();
    assert_eq!(ranges, [None, Some(100_000), Some(200_000)]);
    assert_eq!(recorder.notices.borrow().len(), 2);
    assert_eq!(recorder.files.borrow().last().unwrap().arrived, 300_000);
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
    let impatient =
        HubSettings { stall_timeout: Duration::from_millis(500), ..settings(&server.address, cache.path()) };
    let hub = Hub::new(&impatient).unwrap();
    hub.model("org/model", None).fetch(&[], &recorder).unwrap();
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
fn content_on_the_hubs_own_server_is_described_by_the_redirect() {
    let files = model_files();
    let weights = files.large["model.safetensors"].clone();
    let server = Server::start(move |request| match request.target.as_str() {
        "/blob/model.safetensors?signature=x" => Reply::new(200).with("etag", "\"of the store\"").body(weights.clone()),
        _ => answer(&files, "", request),
    });
    let cache = tempfile::tempdir().unwrap();
    let snapshot = hub(&server, cache.path()).model("org/model", None).fetch(&[], &Silent).unwrap();
    let blob = fs::read_link(snapshot.join("model.safetensors")).unwrap();
    assert!(blob.ends_with(sha256(&model_files().large["model.safetensors"])));
}
