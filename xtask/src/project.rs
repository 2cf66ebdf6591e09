//! Firmware projects as users make them: `grulet new`, `validate` and `bench` on an emulated board, and a fault that they must
//! find.

use std::fs;

use anyhow::{Context, Result, ensure};
use grulet::Blob;
use grulet_board_tools::{Board, Way, qemu};

use crate::sh;

/// The board of the projects.
const BOARD: &str = "mps2-an386";

/// Makes, builds and runs them.
pub fn run() -> Result<()> {
    let grulet = sh::tested_grulet()?;
    let folder = sh::root().join("target/projects");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let board = Board::named(BOARD)?;
    let grulet = || {
        let mut command = sh::command(&grulet);
        command.env("GRULET_CACHE", &folder);
        command
    };
    for (name, expected) in
        [("gait_phase_int8", "step 7: ["), ("addition", "self-test passed"), ("window", "self-test passed")]
    {
        sh::say(&format!("a new project for {BOARD} around {name}.gru"));
        let model = sh::root().join("tests/models").join(name).with_extension("gru");
        let project = folder.join(name);
        sh::output(grulet().arg("new").arg(&project).args(["--board", BOARD, "--model"]).arg(&model))?;
        let (mut cargo, built) = Way::find(&board.target)?.cargo_into("build", &project, &board.target, &folder);
        sh::run(cargo.args(["--release", "--quiet"]))?;
        let printed = qemu::run(&board, &built.join("release").join(name))?;
        ensure!(printed.contains(expected), "{name} printed:\n{printed}");
    }

    let target = format!("qemu:{BOARD}");
    let model = |name: &str| sh::root().join("tests/models").join(name).with_extension("gru");
    let validate = |name: &str, data: &str, series: &str, target: &str| {
        let mut command = grulet();
        command.arg("validate").arg(model(name)).arg(sh::root().join(data));
        command.args(["--series", series, "--target", target]);
        let config = sh::root().join("examples").join(name).with_extension("toml");
        if config.is_file() {
            command.arg("--config").arg(config);
        }
        command
    };
    fs::write(folder.join("windows.csv"), windows())?;
    for (name, data) in [("window", "target/projects/windows.csv"), ("addition", "examples/addition_test.csv")] {
        sh::say(&format!("the bits of {name}.gru on the board beside the host's"));
        let printed = sh::output(&mut validate(name, data, "2", &target))?;
        ensure!(printed.contains("outputs bit-identical: yes"), "{printed}");
    }

    sh::say("the bits of gait_phase.gru with a weight that is another one on the board");
    let mut bytes = fs::read(model("gait_phase"))?;
    let sum = bytes.len() - 4;
    // The last bit of a weight in the middle of the tensors.
    let at = (bytes.len() / 2) & !15;
    bytes[at] ^= 1;
    let checksum = grulet::blob::checksum(&bytes[..sum]).to_le_bytes();
    bytes[sum..].copy_from_slice(&checksum);
    Blob::parse(grulet::blob::AlignedBytes::new(&bytes).as_ref()).context("the faulty model is still a model")?;
    let faulty = folder.join("faulty.gru");
    fs::write(&faulty, &bytes)?;
    // The last lines: the hashes of target and host, and the first difference.
    let found = |target: &str| -> Result<String> {
        let mut command = validate("gait_phase", "examples/gait_phase_50hz.npz", "1", target);
        let found = sh::output(command.arg("--target-model").arg(&faulty));
        let error = found.err().context("a flipped bit of a weight was not noticed")?.to_string();
        Ok(error.lines().skip_while(|line| !line.starts_with("outputs bit-identical: no")).collect())
    };
    let found_there = found(&target)?;
    ensure!(found_there.contains("first difference: series 0, step"), "{found_there}");
    // The host with the faulty model gives what the board is to give.
    let found_here = found("host")?;
    ensure!(found_there == found_here, "the board: {found_there}\nthe host: {found_here}");

    for (name, expected) in
        [("gait_phase", "per step"), ("window", "per window"), ("addition", "instructions per decoder step")]
    {
        sh::say(&format!("what {name}.gru takes"));
        let printed = sh::output(grulet().arg("bench").arg(model(name)).args(["--target", &target]))?;
        ensure!(printed.contains(expected) && printed.contains("flash, bytes"), "{printed}");
        eprint!("{printed}");
    }
    sh::say("that each takes its own, after another one for a board of the same target too");
    let bench = |name: &str, target: &str| {
        sh::output(grulet().arg("bench").arg(model(name)).args(["--steps", "20", "--target", target]))
    };
    let first = bench("gait_phase", &target)?;
    bench("addition", "qemu:mps2-an500")?;
    let again = bench("gait_phase", &target)?;
    ensure!(first == again, "at first:\n{first}after another model on another board:\n{again}");
    Ok(())
}

/// Two series for a model of three inputs, of several lengths.
fn windows() -> String {
    let mut text = "series,t,a,b,c\n".to_owned();
    for (series, steps) in [(0, 16), (1, 9)] {
        for t in 0..steps {
            let x = f64::from(t + 5 * series) * 0.2;
            text += &format!("{series},{t},{:.4},{:.4},{:.4}\n", x.sin(), 1.0 - x, x.cos());
        }
    }
    text
}
