//! From files to examples, by the library: reading, splitting, normalising, cutting.

#[path = "../cli/npz.rs"]
mod npz;
mod prepare;
mod read;
mod weights;
