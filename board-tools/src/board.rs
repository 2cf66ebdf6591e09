//! The boards of `firmware-example/boards/`, as the `board.toml` of each describes them.

use anyhow::{Context, Result, bail, ensure};
use include_dir::{Dir, include_dir};
use serde::Deserialize;

/// The folders of all boards.
pub static BOARDS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../firmware-example/boards");

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
    ///
    /// # Errors
    /// If there is none; the message has the names that there are.
    pub fn named(name: &str) -> Result<Board> {
        let folder = BOARDS.dirs().find(|folder| folder.path().to_str() == Some(name));
        let Some(folder) = folder else {
            let names: Vec<String> = Board::all()?.into_iter().map(|board| board.name).collect();
            bail!("there is no board `{name}`; choose one of {}", names.join(", "));
        };
        Board::read(name, folder)
    }

    fn read(name: &str, folder: &Dir<'_>) -> Result<Board> {
        let path = folder.path().join("board.toml");
        let text = folder.get_file(&path).and_then(|file| file.contents_utf8());
        let text = text.with_context(|| format!("there is no {}", path.display()))?;
        let mut board: Board = toml::from_str(text).with_context(|| path.display().to_string())?;
        ensure!(
            board.qemu.is_some() != board.chip.is_some(),
            "{}: give `qemu` or `chip`: a board is emulated or on the desk",
            path.display()
        );
        name.clone_into(&mut board.name);
        Ok(board)
    }

    /// All boards, by their core and name.
    ///
    /// # Errors
    /// If one is not described well.
    pub fn all() -> Result<Vec<Board>> {
        let mut boards = Vec::new();
        for folder in BOARDS.dirs() {
            boards.push(Board::read(&folder.path().to_string_lossy(), folder)?);
        }
        boards.sort_by(|a, b| (&a.core, &a.name).cmp(&(&b.core, &b.name)));
        Ok(boards)
    }

    /// Those on which every binary runs, the default one first.
    ///
    /// # Errors
    /// If one is not described well.
    pub fn full() -> Result<Vec<Board>> {
        FULL.into_iter().map(Board::named).collect()
    }

    /// Those of them with room for a whole recording in flash.
    ///
    /// # Errors
    /// If one is not described well.
    pub fn large() -> Result<Vec<Board>> {
        LARGE.into_iter().map(Board::named).collect()
    }

    /// All that QEMU emulates.
    ///
    /// # Errors
    /// If one is not described well.
    pub fn emulated() -> Result<Vec<Board>> {
        Ok(Board::all()?.into_iter().filter(|board| board.qemu.is_some()).collect())
    }

    /// All on the desk.
    ///
    /// # Errors
    /// If one is not described well.
    pub fn real() -> Result<Vec<Board>> {
        Ok(Board::all()?.into_iter().filter(|board| board.chip.is_some()).collect())
    }

    /// The text of a file in its folder; empty if there is none.
    pub fn file(&self, name: &str) -> &'static str {
        let path = std::path::Path::new(&self.name).join(name);
        BOARDS.get_file(path).and_then(|file| file.contents_utf8()).unwrap_or("")
    }

    /// Bytes of flash and of RAM, as its `memory.x` says.
    pub fn memory(&self) -> (u64, u64) {
        let length = |region: &str| {
            let lines = self.file("memory.x").lines();
            let line = lines.map(str::trim_start).find(|line| line.starts_with(region) && line.contains("LENGTH"));
            let text = line.and_then(|line| line.rsplit_once('=')).map_or("", |(_, length)| length.trim());
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let unit = match text[digits.len()..].chars().next() {
                Some('K') => 1 << 10,
                Some('M') => 1 << 20,
                _ => 1,
            };
            digits.parse::<u64>().unwrap_or(0) * unit
        };
        (length("FLASH"), length("RAM"))
    }

    /// Bytes of stack that programs look at, as its `board.rs` says.
    pub fn paint(&self) -> u64 {
        let number = self.file("board.rs").split_once("PAINT: usize = ").and_then(|(_, rest)| rest.split(';').next());
        number.and_then(|number| number.replace('_', "").parse().ok()).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::MANIFEST;

    #[test]
    fn every_folder_is_a_board_with_a_feature_and_its_name() {
        let manifest: toml::Table = MANIFEST.parse().expect("TOML");
        let boards = Board::all().expect("all boards are sound");
        assert!(boards.len() >= 17);
        for board in &boards {
            assert!(
                manifest["features"].as_table().is_some_and(|features| features.contains_key(&board.name)),
                "{board:?}"
            );
            let source = board.file("board.rs");
            assert!(source.contains(&format!("NAME: &str = \"{}\"", board.name)), "{}: another name", board.name);
            // `cargo xtask cores` turns instructions into a share of the clock that the counter counts.
            let ticks = board.clock.filter(|_| board.qemu.is_some()).unwrap_or(1000);
            assert!(source.contains(&format!("TICKS_PER_1000: u64 = {ticks};")), "{}: another clock", board.name);
            let (flash, ram) = board.memory();
            assert!(flash >= 64 << 10 && ram >= 8 << 10, "{}: {flash} bytes of flash, {ram} of RAM", board.name);
            let paint = board.paint();
            assert!(paint >= 4096 && 2 * paint <= ram, "{}: {paint} bytes of {ram} are painted", board.name);
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

    #[test]
    fn memory_is_read_from_the_map() {
        assert_eq!(Board::named("stm32vldiscovery").unwrap().memory(), (128 << 10, 8 << 10));
        assert_eq!(Board::named("mps2-an386").unwrap().memory(), (4 << 20, 4 << 20));
    }
}
