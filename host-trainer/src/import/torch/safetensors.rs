//! `.safetensors`: a header in JSON, then the tensors' bytes.
//!
//! The format, by Hugging Face: <https://github.com/huggingface/safetensors>. The crate checks the header, its offsets and sizes.

use safetensors::tensor::{Dtype as FileDtype, SafeTensors};

use super::dtype::Dtype;
use super::{State, source};
use crate::import::budget::Budget;
use crate::import::chain::{Chain, Op, Source, Step, Tensor};
use crate::import::{ImportError, Options};

/// The longest header that is read, in bytes: a network has some hundred per tensor.
const MAX_HEADER: u64 = 1 << 20;

/// What `grulet export` writes beside the tensors: a network takes `(x - input_mean) / input_std`, and gives
/// `y·output_std + output_mean`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Scales {
    input_mean: Vec<f64>,
    input_std: Vec<f64>,
    output_mean: Vec<f64>,
    output_std: Vec<f64>,
}

impl Scales {
    /// Puts the scales before and behind the chain.
    pub(super) fn put_around(&self, chain: &mut Chain) -> Result<(), ImportError> {
        let step = |name: &str, scale: Vec<f64>, offset: Vec<f64>| Step {
            name: name.to_owned(),
            op: Op::Scale { scale, offset },
            tensors: Vec::new(),
        };
        // Each of a pair may be left out.
        let width = |a: &[f64], b: &[f64]| a.len().max(b.len());
        let all = |values: &[f64], default: f64, width: usize| {
            if values.is_empty() { vec![default; width] } else { values.to_vec() }
        };
        let (inputs, outputs) = (width(&self.input_mean, &self.input_std), width(&self.output_mean, &self.output_std));
        let (mean, std) = (all(&self.input_mean, 0.0, inputs), all(&self.input_std, 1.0, inputs));
        let (offset, scale) = (all(&self.output_mean, 0.0, outputs), all(&self.output_std, 1.0, outputs));
        if mean.len() != std.len() || offset.len() != scale.len() || std.contains(&0.0) {
            return Err(ImportError::Damaged("safetensors: the scales in its metadata".to_owned()));
        }
        if inputs > 0 {
            let factors: Vec<f64> = std.iter().map(|std| 1.0 / std).collect();
            let offsets = mean.iter().zip(&factors).map(|(mean, factor)| -mean * factor).collect();
            chain.steps.insert(0, step("the scale of the inputs", factors, offsets));
        }
        if outputs > 0 {
            chain.steps.push(step("the scale of the outputs", scale, offset));
        }
        Ok(())
    }
}

/// Whether `bytes` begin as such a file does.
pub fn is_safetensors(bytes: &[u8]) -> bool {
    header(bytes).is_some() && bytes.get(8) == Some(&b'{')
}

/// The header's length, if the file has one.
fn header(bytes: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    (length <= bytes.len() as u64 - 8).then_some(length)
}

/// Reads such a file.
pub fn read_safetensors(bytes: &[u8], options: &Options) -> Result<Source, ImportError> {
    let length = header(bytes).unwrap_or(u64::MAX);
    if length > MAX_HEADER {
        return Err(ImportError::TooLarge { what: "the header".to_owned(), bytes: length, limit: MAX_HEADER });
    }
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| ImportError::Damaged(format!("safetensors: {error}")))?;
    let budget = Budget::default();
    let mut state = State { format: "safetensors".to_owned(), ..State::default() };
    let metadata = SafeTensors::read_metadata(bytes).ok();
    let scales = metadata.as_ref().and_then(|(_, metadata)| metadata.metadata().as_ref()?.get("scales"));
    if let Some(scales) = scales {
        match serde_json::from_str(scales) {
            Ok(scales) => state.scales = scales,
            Err(_) => {
                state.skipped.push("scales of the metadata: they are not as `grulet export` writes them".to_owned())
            }
        }
    }
    let mut views = file.tensors();
    // By their place in the file.
    views.sort_by_key(|(_, view)| view.data().as_ptr() as usize);
    for (name, view) in views {
        if let Some(skipped) = super::modules::counter(&name) {
            state.skipped.push(skipped);
            continue;
        }
        let dtype = match view.dtype() {
            FileDtype::F32 => Dtype::F32,
            FileDtype::F64 => Dtype::F64,
            FileDtype::F16 => Dtype::F16,
            FileDtype::BF16 => Dtype::Bf16,
            other => {
                return Err(ImportError::unsupported(
                    format!("{name}: a tensor of {other:?}"),
                    "save it as float32, float64, float16 or bfloat16",
                ));
            }
        };
        budget.take(view.shape())?;
        let data = view.data().chunks_exact(dtype.size()).filter_map(|element| dtype.read(element)).collect();
        state.tensors.push(Tensor { source: name, shape: view.shape().to_vec(), data });
    }
    // What shares its numbers with another tensor is written once, and noted by `safetensors.torch.save_model`.
    let notes = metadata.as_ref().and_then(|(_, metadata)| metadata.metadata().as_ref()).into_iter().flatten();
    let mut shared: Vec<(&String, &String)> = notes.collect();
    shared.sort();
    for (name, kept) in shared {
        let is_there = |name: &String| state.tensors.iter().position(|tensor| tensor.source == *name);
        if let (None, Some(kept)) = (is_there(name), is_there(kept)) {
            let tensor = &state.tensors[kept];
            budget.take(&tensor.shape)?;
            let tensor = Tensor { source: name.clone(), ..tensor.clone() };
            state.tensors.push(tensor);
        }
    }
    source(state, options)
}
