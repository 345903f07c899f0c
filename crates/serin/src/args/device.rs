//! Flags on how to compute.

use clap::Args;
use serin::{DeviceKind, DeviceOptions, Precision};

/// Device, threads and precision.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// What computes: auto, cpu or cuda. auto is an NVIDIA GPU where there is one with its libraries that
    /// gives the CPU's numbers in a short check, else the CPU.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<DeviceKind>,
    /// Storage of weights and activations: auto, fp32, bf16 or fp16. auto is bf16 where the device multiplies
    /// it natively, else fp32. Results in fp32 equal PyTorch's to about 1e-5; in 16 bits to about 1e-2.
    #[arg(long, value_name = "TYPE", overrides_with_all = ["fp16", "bf16"])]
    pub precision: Option<Precision>,
    /// The same as --precision fp16.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", overrides_with_all = ["precision", "bf16"])]
    pub fp16: Option<bool>,
    /// The same as --precision bf16.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", overrides_with_all = ["precision", "fp16"])]
    pub bf16: Option<bool>,
    /// Threads of the CPU that compute; by default one a core. The number never changes results.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl DeviceArgs {
    /// What was asked for.
    pub fn options(&self) -> DeviceOptions {
        let precision = match (self.fp16, self.bf16) {
            (Some(true), _) => Precision::Fp16,
            (_, Some(true)) => Precision::Bf16,
            _ => self.precision.unwrap_or_default(),
        };
        DeviceOptions { kind: self.device.unwrap_or_default(), threads: self.threads, precision }
    }
}
