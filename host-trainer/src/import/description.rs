//! What a file of weights alone does not say: the `[model]` of a configuration, as for a training.

use std::path::Path;

use grulet::spec::Output;
use serde::Deserialize;

use super::ImportError;
use crate::config::{LayerConfig, ModelConfig};
use crate::files;

#[derive(Deserialize)]
struct Description {
    model: ModelConfig,
}

/// The `[model]` of the TOML file at `path`; whatever else is in it does not matter.
///
/// # Errors
/// If there is no such file, or no such table in it.
pub(super) fn load(path: &Path) -> Result<ModelConfig, ImportError> {
    let problem = |problem: String| {
        ImportError::Description(format!(
            "{}: {}; describe the network as a [model] of docs/CONFIG.md",
            path.display(),
            problem.trim_end()
        ))
    };
    let bytes = files::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| problem("not a text".to_owned()))?;
    let description: Description = toml::from_str(&text).map_err(|error| problem(error.to_string()))?;
    if description.model.layers.is_empty() {
        return Err(problem("there are no model.layers".to_owned()));
    }
    let pool = description.model.all_layers().any(|layer| matches!(layer, LayerConfig::Pool { .. }));
    if pool && description.model.output != Output::LastStep {
        return Err(problem(
            "a pool makes one step of all; set `model.output = \"last_step\"` (a pool of the steps so far is trained here alone)"
                .to_owned(),
        ));
    }
    Ok(description.model)
}
