//! Boards, compilers and emulators.
//!
//! In the order that things pass: a [`Board`] (what the build must know of it) → a [`Way`] (a compiler for its processor) → a
//! [`Project`] (a firmware of its own) → [`qemu`], or [`probe`] for a board on the desk.

mod board;
pub mod probe;
pub mod project;
pub mod qemu;
pub mod sh;
mod way;

pub use board::{BOARDS, Board};
pub use project::Project;
pub use way::Way;
