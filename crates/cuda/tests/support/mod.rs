//! The devices that tests run on: the emulator, compiled by the machine's C++ compiler, and a card where there is one.
//! `serin` includes it too.

#![allow(dead_code)] // each test uses a part

pub(crate) mod stand_ins;

use serin_cuda::{Cuda, CudaOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The emulator, or nothing, said aloud, where there is no C++ compiler. One for all tests of a program.
pub(crate) fn emulator() -> Option<&'static Cuda> {
    static EMULATOR: OnceLock<Option<Cuda>> = OnceLock::new();
    EMULATOR.get_or_init(open_emulator).as_ref()
}

/// The C++ compiler; its absence is said aloud.
pub(crate) fn compiler() -> Option<String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    if Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(compiler);
    }
    eprintln!("skipped: no C++ compiler ({compiler}), so the emulator was not run");
    None
}

/// An emulator of its own.
pub(crate) fn open_emulator() -> Option<Cuda> {
    let paths = emulator_libraries()?;
    // SAFETY: just compiled from this crate's kernels.
    #[allow(unsafe_code)]
    Some(unsafe { Cuda::emulated([&paths[0], &paths[1], &paths[2]]) }.unwrap())
}

/// This crate's folder; other crates include this file by its path.
pub(crate) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cuda")
}

/// The emulator's libraries, of f32, bf16 and f16, in one folder.
pub(crate) fn emulator_libraries() -> Option<Vec<PathBuf>> {
    let compiler = compiler()?;
    let kernels = here().join("kernels");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulator");
    fs::create_dir_all(&folder).unwrap();
    let paths = std::thread::scope(|scope| {
        let build = |storage| {
            let (compiler, kernels, folder) = (&compiler, &kernels, &folder);
            scope.spawn(move || library(compiler, kernels, folder, storage))
        };
        [0, 1, 2].map(build).into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Some(paths)
}

/// The kernels of a storage type as a library of the emulator; compiled if any source is newer.
fn library(compiler: &str, kernels: &Path, folder: &Path, storage: u32) -> PathBuf {
    let path = folder.join(format!("emulated_{storage}.so"));
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let mut sources: Vec<PathBuf> = vec![kernels.join("emulator/launcher.cpp")];
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let all: Vec<PathBuf> = files(kernels.to_owned()).chain(files(kernels.join("emulator"))).collect();
    sources.extend(all.iter().filter(|path| path.extension().is_some_and(|extension| extension == "cu")).cloned());
    let newest = all.iter().filter_map(|path| changed(path)).max();
    if changed(&path).is_some_and(|built| Some(built) > newest) {
        return path;
    }
    let building = folder.join(format!("building_{storage}_{}.so", std::process::id()));
    let mut command = Command::new(compiler);
    command.args(["-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off"]);
    command.args(["-Wno-unknown-pragmas", &format!("-DSTORAGE={storage}")]);
    command.arg("-I").arg(kernels).arg("-o").arg(&building).args(["-x", "c++"]).args(&sources);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&building, &path).unwrap();
    path
}

/// The card, or nothing, said aloud. With `SERIN_TEST_CUDA` set to 1 there must be one.
pub(crate) fn card() -> Option<&'static Cuda> {
    static CARD: OnceLock<Option<Cuda>> = OnceLock::new();
    CARD.get_or_init(open_card).as_ref()
}

/// The card, opened once more.
pub(crate) fn open_card() -> Option<Cuda> {
    match Cuda::new(CudaOptions::default()) {
        Ok(card) => Some(card),
        Err(error) if std::env::var("SERIN_TEST_CUDA").is_ok_and(|wanted| wanted == "1") => panic!("{error}"),
        Err(error) => {
            eprintln!("not run on a GPU: {error}");
            None
        }
    }
}

/// Runs `check` on the emulator and on the card, where they are there.
pub(crate) fn on_every_device(check: impl Fn(&Cuda)) {
    [emulator(), card()].into_iter().flatten().for_each(check);
}
