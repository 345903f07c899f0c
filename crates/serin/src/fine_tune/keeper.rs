//! Keeps the best model and the resumable state of a run in its folder.

use super::base::Base;
use super::card::ModelCard;
use super::run_folder::RunFolder;
use crate::pretrained::record_text;
use serde_json::{Map, Value};
use serin_checkpoint::model::LoadedFolder;
use serin_model::Model;
use serin_ops::Backend;
use serin_train::{EpochSummary, Keeper, Optimizer, Progress, TrainError, save_state};

/// Writes into a run's folder.
pub(super) struct FolderKeeper<'a> {
    pub(super) folder: &'a RunFolder,
    pub(super) base: &'a Base,
    pub(super) card: ModelCard,
}

impl<B: Backend> Keeper<B> for FolderKeeper<'_> {
    fn save_best(&mut self, backend: &B, model: &mut Model<B>, summary: &EpochSummary) -> Result<(), TrainError> {
        self.card.set_selection(summary);
        let card = self.card.render();
        let mut recorded = record_text(&self.base.text);
        recorded.provenance = self.provenance(summary);
        self.folder.save_best(backend, model, self.base.source().as_mut(), &self.base.tokenizer, &card, &recorded)
    }

    fn load_best(&mut self, backend: &B, model: &mut Model<B>) -> Result<(), TrainError> {
        let best = LoadedFolder::open(&self.folder.best())?;
        Ok(model.import_trained(backend, &mut best.source(0))?)
    }

    fn save_state(
        &mut self,
        backend: &B,
        model: &mut Model<B>,
        optimizer: &mut Optimizer<B>,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        save_state(&self.folder.state(), backend, model, optimizer, progress)
    }
}

impl FolderKeeper<'_> {
    fn provenance(&self, summary: &EpochSummary) -> Map<String, Value> {
        let mut provenance = Map::new();
        provenance.insert("base_model".into(), self.base.name.clone().into());
        provenance.insert("data".into(), self.card.data.clone().into());
        provenance.insert("epoch".into(), summary.epoch.into());
        provenance.insert("step".into(), summary.global_step.into());
        provenance.insert("serin_version".into(), env!("CARGO_PKG_VERSION").into());
        provenance
    }
}
