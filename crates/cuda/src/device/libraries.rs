//! Finds NVIDIA's libraries at run time.
//!
//! `cudarc` loads them by name, and panics where there is none. So they are looked for first: by name, where the system's
//! loader knows them, then in the folder that a variable names and in the toolkit's usual folders. A library loaded by its
//! path answers to its name from then on.

#![allow(unsafe_code)] // runs the initialisers of NVIDIA's libraries

use crate::error::CudaError;
use libloading::Library;
use std::path::{Path, PathBuf};

/// A library of the toolkit.
pub(crate) struct Wanted {
    /// As its vendor calls it.
    library: &'static str,
    /// The stem of its file.
    stem: &'static str,
    package: &'static str,
    variable: &'static str,
}

/// NVRTC's library, or the folder with it, where the system's loader does not find it.
pub const SERIN_NVRTC: &str = "SERIN_NVRTC";

/// cuBLASLt's library, or the folder with it, where the system's loader does not find it.
pub const SERIN_CUBLAS: &str = "SERIN_CUBLAS";

/// The compiler of kernels.
pub(crate) const NVRTC: Wanted =
    Wanted { library: "NVRTC", stem: "nvrtc", package: "nvidia-cuda-nvrtc", variable: SERIN_NVRTC };
/// Matrix products.
pub(crate) const CUBLASLT: Wanted =
    Wanted { library: "cuBLASLt", stem: "cublasLt", package: "nvidia-cublas", variable: SERIN_CUBLAS };

/// Major versions whose interface the crate knows, newest first.
const VERSIONS: [u32; 2] = [13, 12];

/// Where toolkits and distributions put their libraries.
const FOLDERS: [&str; 4] =
    ["/usr/local/cuda/lib64", "/opt/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];

/// Whether the driver is there.
pub(crate) fn driver() -> Result<(), CudaError> {
    // SAFETY: loading NVIDIA's driver runs its initialisers, which have no precondition.
    let found = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"].into_iter().any(|name| unsafe { load(name.into()) });
    if found { Ok(()) } else { Err(CudaError::NoDriver) }
}

/// Makes sure that a library of the toolkit is loaded.
pub(crate) fn toolkit(wanted: &Wanted) -> Result<(), CudaError> {
    let Wanted { library, stem, package, variable } = *wanted;
    let named = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    for path in candidates(stem, named) {
        // SAFETY: as above.
        if unsafe { load(path.clone()) } {
            companions(&path).into_iter().for_each(|path| {
                // SAFETY: as above.
                unsafe { load(path) };
            });
            return Ok(());
        }
    }
    Err(CudaError::NoLibrary { library, package, variable })
}

/// What NVRTC itself loads by name when it compiles: it lies beside it, where the system's loader does not look.
fn companions(library: &Path) -> Vec<PathBuf> {
    let Some(folder) = library.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Vec::new() };
    let builtins = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc-builtins.so."))
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    files.filter(builtins).collect()
}

/// Paths to try, in this order: the variable's file or folder, the loader's own folders, the usual ones.
fn candidates(stem: &str, named: Option<PathBuf>) -> Vec<PathBuf> {
    let names = || VERSIONS.iter().map(|version| format!("lib{stem}.so.{version}"));
    let mut all = Vec::new();
    if let Some(named) = named {
        all.push(named.clone());
        // A folder as given, or one that `pip install --target` filled.
        for inside in ["", "nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib", "nvidia/cublas/lib"] {
            all.extend(names().map(|name| named.join(inside).join(name)));
        }
    }
    all.extend(names().map(PathBuf::from));
    all.push(PathBuf::from(format!("lib{stem}.so")));
    all.extend(FOLDERS.iter().flat_map(|folder| names().map(move |name| PathBuf::from(folder).join(name))));
    all
}

/// Loads a library for the rest of the process; whether it was there.
///
/// # Safety
/// The library's initialisers must be sound to run.
unsafe fn load(path: PathBuf) -> bool {
    // SAFETY: the caller's.
    let Ok(library) = (unsafe { Library::new(path) }) else { return false };
    // Unloading would pull code from under whoever found it by name.
    std::mem::forget(library);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_variable_names_comes_first() {
        let all = candidates("nvrtc", Some("/libs".into()));
        assert_eq!(all[0], PathBuf::from("/libs"));
        assert_eq!(all[1], PathBuf::from("/libs/libnvrtc.so.13"));
        let pip = all.iter().position(|path| path.ends_with("nvidia/cu13/lib/libnvrtc.so.13")).unwrap();
        assert!(pip < all.iter().position(|path| path.as_os_str() == "libnvrtc.so.13").unwrap());
    }

    #[test]
    fn a_library_that_is_nowhere_is_named_with_its_remedy() {
        let wanted = Wanted { library: "Nothing", stem: "serin-nothing", package: "p", variable: "SERIN_NOTHING" };
        let message = toolkit(&wanted).unwrap_err().to_string();
        assert!(message.contains("Nothing was not found") && message.contains("SERIN_NOTHING"), "{message}");
    }
}
