//! `run.json`: what a run was asked to compute, which a resumed run is checked against, and what computed it.

use super::console::Console;
use super::parts::Parts;
use super::run_folder::RunFolder;
use crate::device::{Hardware, Precision};
use crate::error::SerinError;
use serde_json::{Map, Value, json};
use serin_checkpoint::save::write_json_atomic;
use serin_tensor::DType;

/// The setting that may grow when a run is resumed.
const EPOCHS: &str = "num_train_epochs";
/// Of what is recorded, the storage type.
const PRECISION: &str = "precision";
/// Of what is recorded, the only thing that was not asked for.
const RAN_ON: &str = "ran_on";

/// What more epochs are to a run that is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Longer {
    /// The same run, but longer.
    Fine,
    /// Another run: the learning rates of its first steps would be others.
    OtherRates,
    /// Another run, like any other change.
    Refused,
}

impl RunFolder {
    /// Makes sure that a resumed run is the same, or clears an older one away and records what this one computes.
    pub(crate) fn prepare(
        &self,
        settings: &Map<String, Value>,
        resume: bool,
        longer: Longer,
    ) -> Result<(), SerinError> {
        if resume && self.holds_a_run() {
            return self.check_settings(settings, longer);
        }
        if self.holds_a_run() {
            self.clear()?;
        }
        self.write_settings(settings)
    }

    /// The storage type of a run on `device`. Where `auto` resumes a run it is the run's, which may have begun on a device
    /// that another one is best for.
    pub(crate) fn dtype<B: Hardware>(
        &self,
        device: &B,
        asked: Precision,
        resume: bool,
        console: &mut dyn Console,
    ) -> DType {
        let dtype = asked.dtype(device);
        if asked != Precision::Auto || !resume {
            return dtype;
        }
        // A run in fp16 never began with `auto`.
        let automatic = [DType::F32, DType::BF16];
        let recorded = self.recorded_settings().ok().and_then(|settings| settings.get(PRECISION).cloned());
        let begun = automatic.into_iter().find(|dtype| recorded == Some(json!(dtype.to_string())));
        if let Some(begun) = begun.filter(|&begun| begun != dtype) {
            console
                .say(&format!("Going on in {begun}, in which the run began; --precision auto would be {dtype} here."));
        }
        begun.unwrap_or(dtype)
    }

    /// Records that the run goes on after `step` with `arithmetic`, and warns where other arithmetic came before.
    pub(crate) fn begin_part(
        &self,
        step: u64,
        arithmetic: &str,
        console: &mut dyn Console,
    ) -> Result<Parts, SerinError> {
        let mut settings = self.recorded_settings()?;
        let recorded = settings.get(RAN_ON).cloned().unwrap_or_else(|| json!([]));
        let mut parts: Parts = serde_json::from_value(recorded.clone())
            .map_err(|error| SerinError::Refused(format!("{}: {RAN_ON}: {error}", self.settings().display())))?;
        parts.go_on(step, arithmetic);
        if json!(parts) != recorded {
            settings.insert(RAN_ON.to_owned(), json!(parts));
            self.write_settings(&settings)?;
        }
        if let Some(before) = parts.left_at(step) {
            console.say(&format!(
                "warning: the steps up to {step} were computed by {before}, those to come by {arithmetic}. It rounds \
                 otherwise: the run's bits will not be those of one that stayed."
            ));
        }
        Ok(parts)
    }

    fn write_settings(&self, settings: &Map<String, Value>) -> Result<(), SerinError> {
        Ok(write_json_atomic(&self.settings(), settings)?)
    }

    fn recorded_settings(&self) -> Result<Map<String, Value>, SerinError> {
        let path = self.settings();
        let fail = |error: String| SerinError::Refused(format!("{}: {error}", path.display()));
        let text = std::fs::read(&path).map_err(|error| fail(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))
    }

    /// Refuses to resume with other settings, by the names of those that changed. More epochs may be fine: then they are
    /// recorded.
    fn check_settings(&self, settings: &Map<String, Value>, longer: Longer) -> Result<(), SerinError> {
        let mut stored = self.recorded_settings()?;
        let ran_on = stored.remove(RAN_ON);
        let epochs = |settings: &Map<String, Value>| settings.get(EPOCHS).and_then(Value::as_u64);
        let grows = epochs(&stored) < epochs(settings);
        if let Some(more) = settings.get(EPOCHS).filter(|_| grows && longer == Longer::Fine) {
            stored.insert(EPOCHS.to_owned(), more.clone());
        }
        let mut changed = Vec::new();
        compare("", &stored, settings, &mut changed);
        if changed.is_empty() {
            stored.extend(ran_on.map(|parts| (RAN_ON.to_owned(), parts)));
            return if grows { self.write_settings(&stored) } else { Ok(()) };
        }
        let why = if grows && longer == Longer::OtherRates {
            "\nhint: this learning rate schedule ends with the last epoch, so with more epochs all steps so far would have \
             had other rates; only a run with --lr-scheduler-type constant can be made longer"
        } else {
            ""
        };
        Err(SerinError::Refused(format!(
            "cannot resume the run in {}: its settings differ\n  {}{why}\nhint: start it with the old settings, or a new \
             run in another --output-dir",
            self.root().display(),
            changed.join("\n  ")
        )))
    }
}

/// Collects "name: was A, now B" for every leaf that differs.
fn compare(prefix: &str, old: &Map<String, Value>, new: &Map<String, Value>, changed: &mut Vec<String>) {
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => compare(&name, old, new, changed),
            (old, new) if old != new => {
                let show = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
                changed.push(format!("{name}: was {}, now {}", show(old), show(new)));
            }
            _ => {}
        }
    }
}
