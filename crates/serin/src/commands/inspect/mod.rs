//! `serin inspect`.

mod memory;
mod text;

use super::Ended;
use crate::args::InspectArgs;
use crate::terminal::DownloadBars;
use anyhow::Context;
use memory::Memory;
use serde::Serialize;
use serin::pretrained::{locate, record_text, text_settings};
use serin::{Device, Hardware, Precision, PretrainedOptions, SerinError};
use serin_checkpoint::model::{Inspection, LoadedFolder, RecordedText};
use serin_checkpoint::save::write_json_atomic;
use serin_tensor::DType;
use serin_text::Tokenizer;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

/// Everything there is to say of a model.
#[derive(Serialize)]
pub struct Description {
    /// Where it is.
    folder: PathBuf,
    #[serde(flatten)]
    inspection: Inspection,
    /// Rows of the position table.
    positions: usize,
    /// The tokenizer, or what is wrong with it.
    tokenizer: Result<TokenizerDescription, String>,
    /// Which device would compute, and how.
    device: DeviceDescription,
    /// What it would need for inference.
    memory: Memory,
}

/// A tokenizer, and how texts are prepared for it.
#[derive(Serialize)]
struct TokenizerDescription {
    kind: String,
    text: RecordedText,
}

/// A device.
#[derive(Serialize)]
struct DeviceDescription {
    name: String,
    /// What computes: every instruction set in use, the best last, or the GPU with its libraries.
    kernels: Vec<String>,
    precision: String,
}

/// Looks, and says.
pub fn run(args: &InspectArgs, quiet: bool) -> anyhow::Result<Ended> {
    let description = describe(args, quiet)?;
    if let Some(path) = &args.json {
        if path.as_os_str() == "-" {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&description)?)?;
            return Ok(Ended::Well);
        }
        write_json_atomic(path, &description).with_context(|| format!("cannot write {}", path.display()))?;
    }
    write!(stdout(), "{description}")?;
    Ok(Ended::Well)
}

fn describe(args: &InspectArgs, quiet: bool) -> Result<Description, SerinError> {
    let options = PretrainedOptions { revision: args.revision.clone(), ..PretrainedOptions::default() };
    let path = locate(&args.model, &options, &DownloadBars::new(quiet))?;
    let folder = LoadedFolder::open(&path)?;
    let device = args.device.options();
    let (description, dtype) = match device.open()? {
        Device::Cpu(cpu) => describe_device(&cpu, device.precision),
        Device::Cuda(cuda) => describe_device(&cuda, device.precision),
    };
    let config = folder.config();
    Ok(Description {
        inspection: folder.inspect()?,
        positions: config.max_positions,
        tokenizer: tokenizer(&args.model, &options, &folder, &path).map_err(|error| error.to_string()),
        device: description,
        memory: Memory::estimate(config, dtype),
        folder: path,
    })
}

fn describe_device(device: &impl Hardware, precision: Precision) -> (DeviceDescription, DType) {
    let dtype = precision.dtype(device);
    (DeviceDescription { name: device.name(), kernels: device.kernels(), precision: dtype.to_string() }, dtype)
}

fn tokenizer(
    name: &str,
    options: &PretrainedOptions,
    folder: &LoadedFolder,
    path: &Path,
) -> Result<TokenizerDescription, SerinError> {
    let config = folder.config();
    let tokenizer = Tokenizer::from_dir(path, config.family.model_type(), config.max_length())?;
    let recorded = folder.recorded_text().cloned().unwrap_or_default();
    let text = record_text(&text_settings(name, options, &recorded, &tokenizer, path)?);
    Ok(TokenizerDescription { kind: tokenizer.kind(), text })
}
