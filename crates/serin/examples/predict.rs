//! Predict with a model folder or Hub id: `cargo run --release -p serin --example predict -- MODEL "a text" ...`

use serin::{Classifier, ClassifierOptions, SerinError};

fn main() -> Result<(), SerinError> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or_else(|| SerinError::Usage("usage: predict MODEL TEXT...".into()))?;
    let texts: Vec<String> = arguments.collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();

    let mut classifier = Classifier::from_pretrained(&model, &ClassifierOptions::default())?;
    for (text, prediction) in texts.iter().zip(classifier.predict(&texts)?) {
        println!("{:<12} {:>6.2} %  {text}", prediction.label, 100.0 * prediction.score);
    }
    Ok(())
}
