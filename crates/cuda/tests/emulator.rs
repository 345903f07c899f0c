//! The emulator itself against what NVIDIA's manuals say of fragments, roundings and broken kernels.

mod support;

use std::path::Path;
use std::process::Command;

#[test]
fn the_emulator_does_what_the_manuals_say() {
    let Some(compiler) = support::compiler() else { return };
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    for storage in [1, 2] {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulator_self_test_{storage}"));
        let mut command = Command::new(&compiler);
        command.args(["-std=c++20", "-O2", "-Wno-unknown-pragmas", &format!("-DSTORAGE={storage}"), "-I"]);
        command.arg(&kernels).arg("-o").arg(&program);
        command.args(["emulator/self_test.cpp", "emulator/launcher.cpp"].map(|file| kernels.join(file)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        let output = Command::new(&program).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
