//! `grulet`, the command line.
fn main() {}
