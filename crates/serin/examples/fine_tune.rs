//! Fine-tune from Rust: `cargo run --release -p serin --example fine_tune -- MODEL train.csv OUT`

use serin::data::DataSpec;
use serin::fine_tune::{FineTuneOptions, Quiet, StartingModel, fine_tune};
use serin::{Classifier, ClassifierOptions, SerinError};
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), SerinError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, train, out] = arguments.as_slice() else {
        return Err(SerinError::Usage("usage: fine_tune MODEL TRAIN_FILE OUT".into()));
    };
    let mut options = FineTuneOptions::new(StartingModel::Pretrained(model.clone()), out.into());
    options.data.train = Some(DataSpec { paths: vec![train.into()], ..DataSpec::default() });
    options.settings.num_train_epochs = 2;

    let done = fine_tune(&options, &mut Quiet, &AtomicBool::new(false))?;
    if let Some((accuracy, epoch)) = done.best {
        println!("best: {accuracy:.4} in epoch {epoch}");
    }
    let best = done.folder.best().display().to_string();
    let mut classifier = Classifier::from_pretrained(&best, &ClassifierOptions::default())?;
    println!("{:?}", classifier.predict(&["a text"])?);
    Ok(())
}
