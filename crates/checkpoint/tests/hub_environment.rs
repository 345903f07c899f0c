//! The environment variables of the Hub client, by the precedence of `huggingface_hub`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::HubSettings;

fn settings(variables: &[(&str, &str)]) -> Result<HubSettings, CheckpointError> {
    let variables: HashMap<&str, OsString> =
        [("HOME", "/home/someone")].iter().chain(variables).map(|&(name, value)| (name, value.into())).collect();
    HubSettings::from_variables(&|name| variables.get(name).cloned())
}

#[test]
fn nothing_set_means_the_hub_and_the_users_cache() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.endpoint, "https://huggingface.co");
    assert_eq!(settings.cache, Path::new("/home/someone/.cache/huggingface/hub"));
    assert_eq!((settings.token, settings.offline), (None, false));
    assert_eq!((settings.answer_timeout, settings.stall_timeout), (Duration::from_secs(10), Duration::from_secs(10)));
}

#[test]
fn the_cache_has_its_precedence() {
    let cache = |variables: &[(&str, &str)]| settings(variables).unwrap().cache;
    let all = [
        ("HF_HUB_CACHE", "/first"),
        ("HUGGINGFACE_HUB_CACHE", "/second"),
        ("HF_HOME", "/third"),
        ("XDG_CACHE_HOME", "/fourth"),
    ];
    assert_eq!(cache(&all), Path::new("/first"));
    assert_eq!(cache(&all[1..]), Path::new("/second"));
    assert_eq!(cache(&all[2..]), Path::new("/third/hub"));
    assert_eq!(cache(&all[3..]), Path::new("/fourth/huggingface/hub"));
    assert_eq!(cache(&[("HF_HOME", "~/models")]), Path::new("/home/someone/models/hub"));
    assert_eq!(cache(&[("HF_HUB_CACHE", "")]), Path::new("/home/someone/.cache/huggingface/hub"));
}

#[test]
fn the_token_has_its_precedence_and_stays_hidden() {
    let home = tempfile::tempdir().unwrap();
    let other = home.path().join("other");
    fs::write(home.path().join("token"), "hf_login\n").unwrap();
    fs::write(&other, " hf_other ").unwrap();
    let all = [
        ("HF_TOKEN", "hf_first"),
        ("HUGGING_FACE_HUB_TOKEN", "hf_second"),
        ("HF_TOKEN_PATH", other.to_str().unwrap()),
        ("HF_HOME", home.path().to_str().unwrap()),
    ];
    let token = |variables: &[(&str, &str)]| settings(variables).unwrap().token;
    assert_eq!(token(&all).as_deref(), Some("hf_first"));
    assert_eq!(token(&all[1..]).as_deref(), Some("hf_second"));
    assert_eq!(token(&all[2..]).as_deref(), Some("hf_other"));
    assert_eq!(token(&all[3..]).as_deref(), Some("hf_login"));
    let disabled = [&all[..], &[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]].concat();
    assert_eq!(token(&disabled), None);
    assert!(!format!("{:?}", settings(&all).unwrap()).contains("hf_first"));
    let error = settings(&[("HF_TOKEN", "two words")]).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN") && !error.contains("two words"), "{error}");
}

#[test]
fn offline_has_two_names_and_four_spellings() {
    for value in ["1", "ON", "Yes", "true"] {
        assert!(settings(&[("HF_HUB_OFFLINE", value)]).unwrap().offline);
        assert!(settings(&[("TRANSFORMERS_OFFLINE", value)]).unwrap().offline);
    }
    for value in ["0", "", "off"] {
        assert!(!settings(&[("HF_HUB_OFFLINE", value)]).unwrap().offline);
    }
}

#[test]
fn endpoint_and_timeouts_are_checked() {
    assert_eq!(
        settings(&[("HF_ENDPOINT", "https://mirror.example/hf//")]).unwrap().endpoint,
        "https://mirror.example/hf"
    );
    for (name, value) in [
        ("HF_ENDPOINT", "mirror.example"),
        ("HF_ENDPOINT", "https://"),
        ("HF_HUB_ETAG_TIMEOUT", "soon"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0"),
    ] {
        let error = settings(&[(name, value)]).unwrap_err();
        assert!(matches!(error, CheckpointError::InvalidSetting { .. }) && error.to_string().contains(name), "{error}");
    }
}
