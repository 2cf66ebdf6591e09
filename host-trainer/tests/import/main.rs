//! Importing models: real files of other frameworks against what those compute, and files that are no models.

mod hostile;
mod keras;
mod support;
