//! Importing models: real files of other frameworks against what those compute, and files that are no models.

mod boards;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod keras;
#[allow(dead_code, reason = "the arrays here are all of one type")]
#[path = "../cli/npz.rs"]
mod npz;
mod support;
