//! Where a model runs: on the host, in QEMU, or on a board behind a probe.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use fs4::FileExt;
use grulet_board_tools::{Board, Project, Way, probe, qemu, sh};

/// The emulated board of `--target qemu`.
const DEFAULT: &str = "mps2-an386";

/// A target: `host`, `qemu`, `qemu:BOARD`, or `probe:CHIP`.
#[derive(Clone, Debug)]
pub enum Target {
    /// This machine.
    Host,
    /// A board, emulated or on the desk.
    Board(Box<Board>),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let board = match text.split_once(':').unwrap_or((text, "")) {
            ("host", "") => return Ok(Self::Host),
            ("qemu", "") => Board::named(DEFAULT)?,
            ("qemu", name) => {
                let board = Board::named(name)?;
                if board.qemu.is_none() {
                    bail!("{name} is on the desk: --target probe:{}", board.chip.unwrap_or_default());
                }
                board
            }
            ("probe", chip) => {
                let boards = Board::real()?;
                let names = |board: &Board| {
                    let (own, name) = (board.chip.as_deref().unwrap_or(""), board.name.as_str());
                    own.eq_ignore_ascii_case(chip) || name.eq_ignore_ascii_case(chip)
                };
                let chips: Vec<String> = boards.iter().filter_map(|board| board.chip.clone()).collect();
                match boards.into_iter().find(names) {
                    Some(board) => board,
                    None => bail!("there is no board with the chip {chip:?}; choose one of {}", chips.join(", ")),
                }
            }
            _ => bail!("{text:?} is no target; write host, qemu, qemu:BOARD or probe:CHIP"),
        };
        Ok(Self::Board(Box::new(board)))
    }
}

/// A program that was built for a board.
pub(super) struct Program {
    /// The program, in a folder that goes with it.
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

/// Builds a project, in the user's cache, so that what is there already is not built again.
pub(super) fn build(project: &Project<'_>) -> Result<Program> {
    let board = project.board;
    let way = Way::find(&board.target)?;
    let cache = cache()?;
    // One at a time: the next one is written to the same folder, and its program has the same name.
    let lock = File::create(cache.join("lock")).with_context(|| format!("cannot write in {}", cache.display()))?;
    FileExt::lock(&lock).with_context(|| format!("cannot lock {}", cache.display()))?;
    // A package of its own for each board: cargo would take the one of another board with the same name for it, as all are built
    // into one folder.
    let name = format!("{}-{}", project.name, board.name);
    let source = cache.join("projects").join(&name);
    Project { name: &name, ..*project }.write(&source)?;
    let (mut cargo, built) = way.cargo_into("build", &source, &board.target, &cache);
    cargo.args(["--release", "--quiet"]);
    sh::output(&mut cargo).map_err(|error| too_large(error, board))?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join(&name);
    std::fs::copy(built.join("release").join(&name), &path)
        .with_context(|| format!("cannot copy the program to {}", path.display()))?;
    Ok(Program { path, _folder: folder })
}

/// What the linker says of a program that is larger than its board, in words.
fn too_large(error: anyhow::Error, board: &Board) -> anyhow::Error {
    if !error.to_string().contains("will not fit in region") {
        return error;
    }
    let (flash, ram) = board.memory();
    anyhow!(
        "the model and its program do not fit the {}, which has {flash} bytes of flash and {ram} of RAM; choose a larger board, or \
         quantize the model",
        board.name
    )
}

/// Runs a program on its board, and returns what it printed.
pub(super) fn run(board: &Board, program: &Path) -> Result<String> {
    let Some(chip) = &board.chip else {
        qemu::ensure(std::slice::from_ref(board))?;
        return qemu::run(board, program).map_err(|error| match error.to_string().contains("qemu: fatal: Lockup") {
            true => anyhow!(
                "the program has locked up on the {}, as it does where the stack outgrows its {} bytes of RAM; choose a larger board, \
                 or a smaller model",
                board.name,
                board.memory().1
            ),
            false => error,
        });
    };
    probe::ensure()?;
    sh::output(&mut probe::command(chip, &[], program))
}

/// Where builds are kept: `GRULET_CACHE`, else the user's cache folder.
fn cache() -> Result<PathBuf> {
    let own = std::env::var_os("GRULET_CACHE").map(PathBuf::from);
    let folder = own.or_else(|| Some(dirs::cache_dir()?.join("grulet")));
    let folder = folder.context("this system names no cache folder; set GRULET_CACHE to one")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_they_are_meant() {
        let board = |text: &str| match text.parse().unwrap() {
            Target::Board(board) => board.name,
            Target::Host => "host".to_owned(),
        };
        assert_eq!(board("host"), "host");
        assert_eq!(board("qemu"), DEFAULT);
        assert_eq!(board("qemu:microbit"), "microbit");
        assert_eq!(board("probe:nrf52840_xxAA"), "nrf52840-dk");
        assert_eq!(board("probe:pico"), "pico");
        for (text, expected) in [
            ("board", "write host, qemu, qemu:BOARD or probe:CHIP"),
            ("qemu:mps9", "no board `mps9`"),
            ("qemu:pico", "--target probe:RP2040"),
            ("probe:STM8", "no board with the chip \"STM8\""),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
