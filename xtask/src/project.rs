//! Firmware projects as users make them: `grulet new`, `validate` and `bench` on an emulated board, and a fault that they must
//! find.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use grulet::Blob;
use grulet_board_tools::{Board, Way, qemu};

use crate::sh;

/// The board of the projects.
const BOARD: &str = "mps2-an386";

/// Makes, builds and runs them.
pub fn run() -> Result<()> {
    sh::run(sh::command("cargo").args(["build", "--release", "--quiet", "--package", "grulet-trainer"]))?;
    let folder = sh::root().join("target/projects");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let board = Board::named(BOARD)?;
    for (name, expected) in [
        ("gait_phase", "step 7: ["),
        ("gait_phase_int8", "step 7: ["),
        ("tokens", "step 7: ["),
        ("addition", "self-test passed"),
        ("window", "self-test passed"),
    ] {
        sh::say(&format!("a new project for {BOARD} around {name}.gru"));
        let model = sh::root().join("tests/models").join(name).with_extension("gru");
        let project = folder.join(name);
        sh::output(grulet(&folder).arg("new").arg(&project).args(["--board", BOARD, "--model"]).arg(&model))?;
        let (mut cargo, built) = Way::find(&board.target)?.cargo_into("build", &project, &board.target, &folder);
        sh::run(cargo.args(["--release", "--quiet"]))?;
        let printed = qemu::run(&board, &built.join("release").join(name))?;
        ensure!(printed.contains(expected), "{name} printed:\n{printed}");
    }

    sh::say("the bits of the board beside the host's");
    let model = sh::root().join("tests/models/gait_phase.gru");
    let config = sh::root().join("examples/gait_phase.toml");
    let data = sh::root().join("examples/gait_phase_50hz.npz");
    let validate = || {
        let mut command = grulet(&folder);
        command.arg("validate").arg(&model).arg(&data).arg("--config").arg(&config);
        command.args(["--target", &format!("qemu:{BOARD}"), "--series", "1"]);
        command
    };
    let printed = sh::output(&mut validate())?;
    ensure!(printed.contains("outputs bit-identical: yes"), "{printed}");

    sh::say("the same with a weight that is another one on the board");
    let mut bytes = fs::read(&model)?;
    let sum = bytes.len() - 4;
    // The last bit of a weight in the middle of the tensors.
    let at = (bytes.len() / 2) & !15;
    bytes[at] ^= 1;
    let checksum = grulet::blob::checksum(&bytes[..sum]).to_le_bytes();
    bytes[sum..].copy_from_slice(&checksum);
    Blob::parse(grulet::blob::AlignedBytes::new(&bytes).as_ref()).context("the faulty model is still a model")?;
    let faulty = folder.join("faulty.gru");
    fs::write(&faulty, &bytes)?;
    let found = sh::output(validate().arg("--target-model").arg(&faulty));
    let error = found.err().context("a flipped bit of a weight was not noticed")?.to_string();
    ensure!(error.contains("first difference: series 0, step"), "{error}");

    sh::say("what a step takes");
    let printed = sh::output(grulet(&folder).arg("bench").arg(&model).args(["--target", &format!("qemu:{BOARD}")]))?;
    ensure!(printed.contains("instructions per step") && printed.contains("flash, bytes"), "{printed}");
    eprint!("{printed}");
    Ok(())
}

fn grulet(cache: &Path) -> Command {
    let name = format!("grulet{}", std::env::consts::EXE_SUFFIX);
    let mut command = sh::command(sh::root().join("target/release").join(name));
    command.env("GRULET_CACHE", cache);
    command
}
