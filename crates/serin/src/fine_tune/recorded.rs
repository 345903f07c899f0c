//! A run's settings by name: for `run.json`, which a resumed run is checked against, and for the model card.

use serde_json::{Map, Value};
use serin_train::TrainSettings;

/// Every setting of the loop.
pub(crate) fn settings_by_name(settings: &TrainSettings) -> Map<String, Value> {
    // Through text, so that an f32 has its shortest decimal: 0.999 and not 0.9990000128746033.
    let text = serde_json::to_string(settings).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Name and value of those settings that tell a reader something: hashes do not.
pub(crate) fn shown_settings(recorded: &Map<String, Value>) -> Vec<(String, String)> {
    let hidden = |name: &str| name.ends_with("_data") || name.ends_with("fingerprint");
    let shown = recorded.iter().filter(|(name, _)| !hidden(name));
    shown.map(|(name, value)| (name.clone(), value.to_string())).collect()
}
