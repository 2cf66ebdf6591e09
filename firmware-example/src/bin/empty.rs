//! The empty program, which is subtracted from the sizes of others.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet::include_model;
use grulet_firmware::{board, entry};

#[entry]
fn main() -> ! {
    board::exit(black_box(include_model!(env!("GRULET_MODEL")).0.first()).map(|_| ()).ok_or(()))
}
