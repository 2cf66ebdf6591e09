//! `grulet new`

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use grulet::Blob;
use grulet_board_tools::Board;

use super::source;
use crate::firmware;
use crate::sweep::quoted;

/// Make a firmware project for a board around a model.
#[derive(Args)]
pub struct New {
    /// The project's name, or the path of its folder.
    name: PathBuf,
    /// The board: mps2-an386, microbit, nrf52840-dk, pico2, …; an unknown one lists all.
    #[arg(long)]
    board: String,
    /// A .gru file, or the folder of a run.
    #[arg(long)]
    model: PathBuf,
}

impl New {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let board = Board::named(&self.board)?;
        let blob = source::load(&self.model)?;
        let model = Blob::parse(blob.as_ref()).with_context(|| self.model.display().to_string())?;
        let name = self.name.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        firmware::create(&self.name, &name, &board, model.header(), blob.as_ref())?;
        let folder: &Path = &self.name;
        super::print(&format!(
            "{}: a firmware for the {} ({})\ncd {} && cargo run --release\n",
            folder.display(),
            board.name,
            board.core,
            quoted(&folder.display().to_string())
        ))
    }
}
