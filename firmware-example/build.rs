//! Puts the chosen board's memory map where the linker finds it, and tells the sources where board, model and samples are.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let board = board(&root.join("boards"));
    fs::copy(board.join("memory.x"), out.join("memory.x")).expect("a board has a memory.x");
    println!("cargo:rustc-link-search={}", out.display());
    let target = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    if target.starts_with("riscv") {
        // The linker script of Cortex-M includes it, that of RISC-V does not.
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-env=GRULET_BOARD_RS={}", board.join("board.rs").display());
    println!("cargo:rerun-if-changed={}", board.display());

    // Another model and other samples are built in by setting these.
    let defaults = [
        ("GRULET_MODEL", "../tests/models/gait_phase.gru"),
        ("GRULET_MODEL_INT8", "../tests/models/gait_phase_int8.gru"),
        ("GRULET_SAMPLES", "../tests/models/gait_phase.samples"),
    ];
    for (name, default) in defaults {
        let path = env::var_os(name).map_or_else(|| root.join(default), PathBuf::from);
        println!("cargo:rustc-env={name}={}", path.display());
        println!("cargo:rerun-if-env-changed={name}");
    }

    // The network of `icount`, `size` and `outputs`, as a Rust type.
    let setting = |name: &str, default: &str| {
        println!("cargo:rerun-if-env-changed={name}");
        env::var(name).unwrap_or_else(|_| default.to_owned())
    };
    // Of `pipe`.
    println!("cargo:rustc-env=GRULET_CAPACITY={}", setting("GRULET_CAPACITY", "512"));
    let net = setting("GRULET_NET", "(Gru<2, 16>, Dense<16, 2>)");
    let (inputs, repeats) = (setting("GRULET_INPUTS", "1000"), setting("GRULET_REPEATS", "8"));
    let text = format!(
        "type Net = {net};\n#[allow(dead_code)]\nconst INPUTS: u32 = {inputs};\n#[allow(dead_code)]\nconst REPEATS: u32 = {repeats};\n"
    );
    fs::write(out.join("net.rs"), text).expect("the build's folder can be written to");
}

/// The folder of the one board whose feature is on.
fn board(boards: &Path) -> PathBuf {
    let enabled = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
    };
    let folders = fs::read_dir(boards).expect("there is a folder boards/").filter_map(|entry| Some(entry.ok()?.path()));
    let chosen: Vec<PathBuf> = folders.filter(enabled).collect();
    match &chosen[..] {
        [board] => board.clone(),
        _ => panic!("choose one board: --no-default-features --features NAME, a folder of boards/; chosen: {chosen:?}"),
    }
}
