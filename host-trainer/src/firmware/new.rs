//! A new firmware project around a model.

use std::path::Path;

use grulet::Header;
use grulet_board_tools::{Board, Project};

use super::{Kind, STEPS, fill, program, unit_bytes};
use crate::cost::state_bytes;

const STREAM: &str = include_str!("templates/stream.rs");
const SEQUENCE: &str = include_str!("templates/sequence.rs");
const WINDOW: &str = include_str!("templates/window.rs");

/// Why a project cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewError {
    /// A name that is no crate's.
    #[error(
        "{0:?} cannot be a project's name; use letters, digits, - and _, begin with a letter, and take another one than grulet"
    )]
    Name(String),
    /// The model does not fit the board.
    #[error(
        "the model has {model} bytes, but the {board} has {flash} bytes of flash; choose a larger board, or quantize the model"
    )]
    Flash {
        /// Bytes of the model.
        model: usize,
        /// The board.
        board: String,
        /// Bytes of its flash.
        flash: u64,
    },
    /// What the model runs in does not fit the board.
    #[error("the model runs in {state} bytes of RAM{of}, but the {board} has {ram}; choose a larger board{fix}")]
    Ram {
        /// Bytes of the state.
        state: usize,
        /// Of what they are.
        of: String,
        /// The board.
        board: String,
        /// Bytes of its RAM.
        ram: u64,
        /// What else would help.
        fix: &'static str,
    },
    /// The folder is there already.
    #[error("{0} is there already; choose another name")]
    Exists(String),
    /// A file cannot be written.
    #[error("{0:#}")]
    Write(anyhow::Error),
}

/// Writes a firmware project around the model in `blob` into `folder`, which must not be there yet.
///
/// # Errors
/// If the name is no crate's, the model does not fit the board, or the folder is there or cannot be written.
pub fn create(folder: &Path, name: &str, board: &Board, header: &Header<'_>, blob: &[u8]) -> Result<(), NewError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // A crate cannot be called as one that it uses.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(letters) || name == "grulet" {
        return Err(NewError::Name(name.to_owned()));
    }
    let (flash, ram) = board.memory();
    if blob.len() as u64 >= flash {
        return Err(NewError::Flash { model: blob.len(), board: board.name.clone(), flash });
    }
    if folder.exists() {
        return Err(NewError::Exists(folder.display().to_string()));
    }
    let template = match Kind::of(header) {
        Kind::Stream => STREAM,
        Kind::Window => WINDOW,
        Kind::Sequence => SEQUENCE,
    };
    let steps = header.window.max(header.golden.steps).max(STEPS);
    let state = state_bytes(&Header { window: steps, ..header.clone() }, unit_bytes(header));
    if state as u64 >= ram {
        let (of, fix) = match Kind::of(header) {
            Kind::Window => (format!(" for {steps} steps"), ", or train with a shorter window"),
            Kind::Stream | Kind::Sequence => (String::new(), ""),
        };
        return Err(NewError::Ram { state, of, board: board.name.clone(), ram, fix });
    }
    let about = format!("{name} on the board {}.", board.name);
    let longest = match header.window {
        0 => ": the model takes any number, for which there is RAM",
        _ => ", or window, that the model was trained on, and of its self-test",
    };
    let body = fill(template, header).replace("@STEPS@", &steps.to_string()).replace("@ABOUT_STEPS@", longest);
    let main = program(&about, &body);
    let readme = readme(name, board);
    let files = [("model.gru", blob), ("README.md", readme.as_bytes())];
    let project = Project { name, board, main: &main, measures: false, files: &files };

    // Beside it, and renamed: there is a whole project or none.
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> anyhow::Result<()> {
        std::fs::create_dir_all(parent)?;
        let temporary = tempfile::Builder::new().prefix(".grulet-").tempdir_in(parent)?;
        let made = temporary.path().join(name);
        project.write(&made)?;
        std::fs::rename(made, folder)?;
        Ok(())
    };
    write().map_err(|error| NewError::Write(error.context(format!("cannot make the project {}", folder.display()))))
}

fn readme(name: &str, board: &Board) -> String {
    let Board { core, target, .. } = board;
    let runs = match &board.chip {
        Some(chip) => format!(
            "It runs on the {} ({core}) by probe-rs (`cargo install probe-rs-tools --locked`), with the chip {chip}:",
            board.name
        ),
        None => format!("It runs on QEMU's model of the {} ({core}):", board.name),
    };
    format!(
        "# {name}\n\n{runs}\n\n```\ncargo run --release\n```\n\nThe first time, this installs the compiler's part for the processor:\n\n\
         ```\nrustup target add {target}\n```\n\nWhere that cannot be had, a rustc with its library's source builds it too, such as Debian's \
         `rustc-web`, `cargo-web` and\n`rust-web-src`, with the linker `rust-lld` of any toolchain on the PATH:\n\n```\n\
         RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo run --release -Zbuild-std=core,compiler_builtins \
         -Zbuild-std-features=compiler-builtins-mem\n```\n\n\
         `src/main.rs` has the line to edit: where the samples come from. `model.gru` is the model; `grulet inspect model.gru` says \
         what it is.\n"
    )
}

#[cfg(test)]
mod tests {
    use grulet::Blob;
    use grulet::blob::AlignedBytes;

    use super::*;

    const MODELS: [&[u8]; 3] = [
        include_bytes!("../../../tests/models/gait_phase.gru"),
        include_bytes!("../../../tests/models/window.gru"),
        include_bytes!("../../../tests/models/addition.gru"),
    ];

    #[test]
    fn every_place_of_a_template_is_filled_in() {
        let board = Board::named("mps2-an386").unwrap();
        for (index, bytes) in MODELS.iter().enumerate() {
            let blob = AlignedBytes::new(bytes);
            let blob = Blob::parse(blob.as_ref()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().join("mine");
            create(&folder, "mine", &board, blob.header(), bytes).unwrap();
            let main = std::fs::read_to_string(folder.join("src/main.rs")).unwrap();
            assert!(!main.contains('@'), "{main}");
            assert_eq!(
                main.contains("/// Steps of the longest series: the model takes any number"),
                index == 1,
                "{main}"
            );
            let error = create(&folder, "mine", &board, blob.header(), bytes).unwrap_err();
            assert!(matches!(error, NewError::Exists(_)), "{error}");
        }
    }

    #[test]
    fn projects_that_cannot_be_are_refused() {
        let blob = AlignedBytes::new(MODELS[1]);
        let blob = Blob::parse(blob.as_ref()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, header: &Header<'_>| {
            let folder = folder.path().join(name);
            let error = create(&folder, name, &Board::named("microbit").unwrap(), header, MODELS[1]).unwrap_err();
            assert!(!folder.exists());
            error.to_string()
        };
        for name in ["1st", "a b", "grulet"] {
            let error = refused(name, blob.header());
            assert!(error.contains("cannot be a project's name"), "{error}");
        }
        let mut header = blob.header().clone();
        header.window = 500;
        let error = refused("mine", &header);
        assert!(
            error.contains("for 500 steps, but the microbit has 16384; choose a larger board, or train with"),
            "{error}"
        );
    }
}
