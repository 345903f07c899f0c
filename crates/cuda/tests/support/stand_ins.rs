//! Stand-ins for NVIDIA's libraries: see `tests/stand_in/stand_in.h`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Compiled, and with the emulator behind them.
pub(crate) struct StandIns {
    /// Where they have the names of NVIDIA's libraries.
    pub(crate) folder: PathBuf,
    emulator: PathBuf,
}

impl StandIns {
    /// Nothing, said aloud, where there is no C++ compiler or another system than Linux.
    pub(crate) fn build() -> Option<&'static StandIns> {
        static BUILT: OnceLock<Option<StandIns>> = OnceLock::new();
        BUILT.get_or_init(StandIns::compile).as_ref()
    }

    fn compile() -> Option<StandIns> {
        if !cfg!(target_os = "linux") {
            eprintln!("skipped: stand-ins for NVIDIA's libraries are found on Linux only");
            return None;
        }
        let (compiler, emulator) = (super::compiler()?, super::emulator_libraries()?);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand_in");
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(compiler);
        command.args(["-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-o"]);
        // One file under all names is loaded once, so that the library of products knows the driver's memory.
        let library = folder.join("stand_in.so");
        let sources = ["driver.cpp", "graphs.cpp", "nvrtc.cpp", "cublaslt.cpp"];
        let sources = sources.map(|name| super::here().join("tests/stand_in").join(name));
        command.arg(&library).args(sources).arg("-ldl");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        // By their versions, and by the bare names that a toolkit's folder has too.
        for name in ["libcuda.so", "libnvrtc.so", "libcublasLt.so"] {
            for version in ["", ".1", ".13"] {
                let link = folder.join(format!("{name}{version}"));
                let _ = std::fs::remove_file(&link);
                #[cfg(unix)]
                std::os::unix::fs::symlink(&library, link).unwrap();
            }
        }
        Some(StandIns { folder, emulator: emulator[0].parent().unwrap().to_owned() })
    }

    /// Lets a process find them before any others.
    pub(crate) fn found_by(&self, command: &mut Command) {
        let others = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let paths = [self.folder.clone()].into_iter().chain(std::env::split_paths(&others));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(paths).unwrap());
        command.env("SERIN_EMULATOR", &self.emulator);
        command.env_remove("SERIN_NVRTC").env_remove("SERIN_CUBLAS");
    }
}
