//! The boards of `firmware-example/boards/`, as the `board.toml` of each describes them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A board.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Name of its folder and of its cargo feature.
    #[serde(skip)]
    pub name: String,
    /// Its processor.
    pub core: String,
    /// The processor's Rust target.
    pub target: String,
    /// QEMU's machine, if this is a board that QEMU emulates.
    pub qemu: Option<String>,
    /// A processor other than QEMU's machine has by itself.
    pub cpu: Option<String>,
    /// MHz of the emulated clock.
    pub clock: Option<u32>,
    /// probe-rs's name of the chip, if this is a board on the desk.
    pub chip: Option<String>,
}

/// One emulated board of each core that takes a path of its own through the runtime, the default one first: every binary
/// runs on these.
const FULL: [&str; 4] = ["mps2-an386", "mps2-an505", "mps2-an385", "microbit"];

/// Those of `FULL` with room for a whole recording in flash.
const LARGE: [&str; 3] = ["mps2-an386", "mps2-an505", "mps2-an385"];

impl Board {
    /// The board in the folder of this name.
    pub fn named(name: &str) -> Result<Board> {
        let path = folder().join(name).join("board.toml");
        if name.contains(['/', '\\', '.']) || !path.is_file() {
            let names: Vec<String> = Board::all()?.into_iter().map(|board| board.name).collect();
            bail!("there is no board `{name}`; choose one of {}", names.join(", "));
        }
        Board::read(name, &path)
    }

    fn read(name: &str, path: &Path) -> Result<Board> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut board: Board = toml::from_str(&text).with_context(|| path.display().to_string())?;
        ensure!(
            board.qemu.is_some() != board.chip.is_some(),
            "{}: give `qemu` or `chip`: a board is emulated or on the desk",
            path.display()
        );
        name.clone_into(&mut board.name);
        Ok(board)
    }

    /// All boards, by their core and name.
    pub fn all() -> Result<Vec<Board>> {
        let folder = folder();
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut boards = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            boards.push(Board::read(&name, &entry.path().join("board.toml"))?);
        }
        boards.sort_by(|a, b| (&a.core, &a.name).cmp(&(&b.core, &b.name)));
        Ok(boards)
    }

    /// Those on which every binary runs, the default one first.
    pub fn full() -> Result<Vec<Board>> {
        FULL.into_iter().map(Board::named).collect()
    }

    /// Those of them with room for a whole recording in flash.
    pub fn large() -> Result<Vec<Board>> {
        LARGE.into_iter().map(Board::named).collect()
    }

    /// All that QEMU emulates.
    pub fn emulated() -> Result<Vec<Board>> {
        Ok(Board::all()?.into_iter().filter(|board| board.qemu.is_some()).collect())
    }

    /// All on the desk.
    pub fn real() -> Result<Vec<Board>> {
        Ok(Board::all()?.into_iter().filter(|board| board.chip.is_some()).collect())
    }

    /// Whether it is a RISC-V core; the others are Cortex-M.
    pub fn is_riscv(&self) -> bool {
        self.target.starts_with("riscv")
    }

    /// Whether its core computes in `f32` by itself.
    pub fn has_fpu(&self) -> bool {
        self.target.ends_with("eabihf")
    }
}

fn folder() -> PathBuf {
    crate::firmware::package().join("boards")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_board_with_a_feature_and_its_name() {
        let manifest = fs::read_to_string(crate::firmware::package().join("Cargo.toml")).expect("the manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let boards = Board::all().expect("all boards are sound");
        assert!(boards.len() >= 17);
        for board in &boards {
            assert!(
                manifest["features"].as_table().is_some_and(|features| features.contains_key(&board.name)),
                "{board:?}"
            );
            let source = fs::read_to_string(folder().join(&board.name).join("board.rs")).expect("a board.rs");
            assert!(source.contains(&format!("NAME: &str = \"{}\"", board.name)), "{}: another name", board.name);
            // `cargo xtask cores` turns instructions into a share of the clock that the counter counts.
            let ticks = board.clock.filter(|_| board.qemu.is_some()).unwrap_or(1000);
            assert!(source.contains(&format!("TICKS_PER_1000: u64 = {ticks};")), "{}: another clock", board.name);
        }
        assert_eq!(Board::emulated().expect("sound").len() + Board::real().expect("sound").len(), boards.len());
    }

    #[test]
    fn an_unknown_board_is_refused_with_the_names_there_are() {
        for name in ["picoo", "../boards/pico", ""] {
            let error = Board::named(name).expect_err("no such board").to_string();
            assert!(error.contains(&format!("no board `{name}`")) && error.contains("pico2"), "{error}");
        }
    }
}
