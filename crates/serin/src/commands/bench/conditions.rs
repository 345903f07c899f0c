//! What a measurement depends on, besides what is measured.

use super::ceilings::Limits;
use super::subject::Subject;
use serde::Serialize;
use serin_cpu::CpuOptions;
use std::fs;

/// The circumstances of a report.
#[derive(Serialize)]
pub struct Conditions {
    /// Serin's version.
    version: &'static str,
    /// The processor's name.
    cpu: String,
    /// Cores that this process may use.
    cores: usize,
    /// What was measured: the CPU with its best kernels and number of threads, or the card.
    device: String,
    /// Every instruction set in use, or what kernels and products of a GPU are compiled by.
    kernels: Vec<String>,
    /// Bytes of the caches, from the nearest on: a core's first and second and the shared third, or what a GPU shares.
    caches: Vec<usize>,
    /// Storage of weights and activations.
    precision: String,
    /// Programs that wanted to run in the last minute, on average, before this one began.
    load_average: Option<f64>,
    /// What was measured: sizes, and where the weights are from.
    model: String,
}

impl Conditions {
    /// Those of now.
    pub fn note<B: Limits>(device: &B, subject: &Subject) -> Conditions {
        Conditions {
            version: env!("CARGO_PKG_VERSION"),
            cpu: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: CpuOptions::default().threads,
            device: device.name(),
            kernels: device.kernels(),
            caches: device.caches(),
            precision: subject.dtype.to_string(),
            load_average: load_average(),
            model: subject.describe(),
        }
    }

    /// All of it for eyes.
    pub fn sentence(&self) -> String {
        let load = self.load_average.map_or(String::new(), |load| format!(", load average {load}"));
        format!(
            "serin {}; {}, {} cores{load}; {}; {} storage; {}",
            self.version, self.cpu, self.cores, self.device, self.precision, self.model
        )
    }
}

/// The first processor's name in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| format!("unknown {} processor", std::env::consts::ARCH), |(_, name)| name.trim().to_owned())
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The most memory that this process has had, in bytes; pages of files apart.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    // The peak counts mapped files, of which the kernel tells the present size only.
    Some(kibibytes("VmHWM:")?.saturating_sub(kibibytes("RssFile:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_as_the_system_names_it() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n"), "A CPU @ 2 GHz");
        assert!(processor("").starts_with("unknown "));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_memory() {
        assert!(peak_memory().is_some_and(|bytes| (1 << 16..1 << 46).contains(&bytes)));
    }
}
