//! NVRTC: CUDA C++ to what the driver loads.

#![allow(unsafe_code)] // calls the compiler

use super::sources::{self, HEADERS, Source};
use super::{Image, libraries};
use crate::error::CudaError;
use crate::kernel::storage_macro;
use cudarc::nvrtc::sys::{self, nvrtcProgram, nvrtcResult};
use serin_tensor::DType;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::ptr;

/// What kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// The card's own instructions: `sm_90`.
    Real(u32),
    /// Those of an older card, for the driver to translate: `compute_90`. For cards that the compiler does not know yet.
    Virtual(u32),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Real(number) => write!(f, "sm_{number}"),
            Architecture::Virtual(number) => write!(f, "compute_{number}"),
        }
    }
}

impl Architecture {
    /// The best that the compiler has for cards of this compute capability.
    pub(super) fn for_card(capability: (u32, u32)) -> Result<Architecture, CudaError> {
        Ok(Architecture::among(&supported()?, capability.0 * 10 + capability.1))
    }

    fn among(known: &[u32], card: u32) -> Architecture {
        if known.contains(&card) {
            return Architecture::Real(card);
        }
        Architecture::Virtual(known.iter().copied().filter(|&older| older < card).max().unwrap_or(card))
    }
}

/// A failure outside of a compilation.
fn failed(call: &'static str, result: nvrtcResult) -> CudaError {
    CudaError::Driver { call, reason: format!("{result:?}") }
}

fn done(call: &'static str, result: nvrtcResult) -> Result<(), CudaError> {
    if result == nvrtcResult::NVRTC_SUCCESS { Ok(()) } else { Err(failed(call, result)) }
}

/// The compiler's version.
pub(super) fn version() -> Result<(u32, u32), CudaError> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both are places to write to.
    done("asking for NVRTC's version", unsafe { sys::nvrtcVersion(&mut major, &mut minor) })?;
    Ok((major as u32, minor as u32))
}

/// The numbers of the architectures that the compiler knows.
fn supported() -> Result<Vec<u32>, CudaError> {
    let mut count = 0;
    // SAFETY: a place to write to.
    done("asking for NVRTC's architectures", unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) })?;
    let mut numbers = vec![0 as c_int; count.max(0) as usize];
    // SAFETY: room for as many as were announced.
    done("asking for NVRTC's architectures", unsafe { sys::nvrtcGetSupportedArchs(numbers.as_mut_ptr()) })?;
    Ok(numbers.into_iter().map(|number| number as u32).collect())
}

/// What the compiler is told.
pub(super) fn options(storage: DType, architecture: Architecture) -> Vec<String> {
    vec![
        format!("--gpu-architecture={architecture}"),
        "--std=c++20".into(),
        // Division and roots round as IEEE says and small numbers stay: as on every other device.
        "--ftz=false".into(),
        "--prec-div=true".into(),
        "--prec-sqrt=true".into(),
        format!("-DSTORAGE={}", storage_macro(storage)),
    ]
}

/// A program that is destroyed with its owner.
struct Program(nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `nvrtcCreateProgram` and destroyed once.
        unsafe { sys::nvrtcDestroyProgram(&mut self.0) };
    }
}

impl Program {
    fn new(source: &Source) -> Result<Program, CudaError> {
        let text = |text: &str| CString::new(text).expect("sources hold no zero");
        let (code, name) = (text(source.text), text(source.name));
        let headers: Vec<[CString; 2]> = HEADERS.iter().map(|header| [text(header.text), text(header.name)]).collect();
        let column =
            |column: usize| -> Vec<*const c_char> { headers.iter().map(|both| both[column].as_ptr()).collect() };
        let (texts, names) = (column(0), column(1));
        let mut program = ptr::null_mut();
        // SAFETY: all strings end with zero and live until the call is over; NVRTC copies them.
        let result = unsafe {
            sys::nvrtcCreateProgram(
                &mut program,
                code.as_ptr(),
                name.as_ptr(),
                headers.len() as c_int,
                texts.as_ptr(),
                names.as_ptr(),
            )
        };
        done("giving a source to NVRTC", result)?;
        Ok(Program(program))
    }

    fn log(&self) -> String {
        let mut size = 0;
        // SAFETY: the program lives; a place to write to.
        if unsafe { sys::nvrtcGetProgramLogSize(self.0, &mut size) } != nvrtcResult::NVRTC_SUCCESS {
            return "no log".into();
        }
        let mut log = vec![0u8; size + 1];
        // SAFETY: room for as much as was announced.
        unsafe { sys::nvrtcGetProgramLog(self.0, log.as_mut_ptr().cast()) };
        CStr::from_bytes_until_nul(&log).map_or_else(|_| "no log".into(), |log| log.to_string_lossy().trim().to_owned())
    }

    fn image(&self, architecture: Architecture) -> Result<Image, CudaError> {
        let mut size = 0;
        let call = "taking what NVRTC compiled";
        // SAFETY: the program is compiled; a place to write to, then room for as much as was announced.
        unsafe {
            match architecture {
                Architecture::Real(_) => done(call, sys::nvrtcGetCUBINSize(self.0, &mut size))?,
                Architecture::Virtual(_) => done(call, sys::nvrtcGetPTXSize(self.0, &mut size))?,
            }
            let mut image = vec![0u8; size];
            match architecture {
                Architecture::Real(_) => done(call, sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast()))?,
                Architecture::Virtual(_) => done(call, sys::nvrtcGetPTX(self.0, image.as_mut_ptr().cast()))?,
            }
            Ok(Image(image))
        }
    }
}

/// Compiles a source.
pub(super) fn compile(source: &Source, options: &[String], architecture: Architecture) -> Result<Image, CudaError> {
    let program = Program::new(source)?;
    let options: Vec<CString> =
        options.iter().map(|option| CString::new(option.as_str()).expect("options hold no zero")).collect();
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    // SAFETY: the program lives, and so do the options, which end with zero.
    let result = unsafe { sys::nvrtcCompileProgram(program.0, pointers.len() as c_int, pointers.as_ptr()) };
    if result != nvrtcResult::NVRTC_SUCCESS {
        let (architecture, log) = (architecture.to_string(), program.log());
        return Err(CudaError::Compile { file: source.name, architecture, log });
    }
    program.image(architecture)
}

/// Compiles all kernels for `sm_NUMBER`, without a card; gives the number of programs.
pub fn check(number: u32) -> Result<usize, CudaError> {
    libraries::toolkit(&super::NVRTC)?;
    let architecture = Architecture::Real(number);
    let mut compiled = 0;
    for (source, storage) in sources::all() {
        compile(source, &options(storage, architecture), architecture)?;
        compiled += 1;
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_the_compiler_knows_gets_its_own_instructions_and_a_newer_one_the_nearest() {
        let known = [75, 80, 86, 89, 90, 100, 120];
        assert_eq!(Architecture::among(&known, 90), Architecture::Real(90));
        assert_eq!(Architecture::among(&known, 87), Architecture::Virtual(86));
        assert_eq!(Architecture::among(&known, 130).to_string(), "compute_120");
    }
}
