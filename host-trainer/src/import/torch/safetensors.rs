//! `.safetensors`: a header in JSON, then the tensors' bytes.
//!
//! The format, by Hugging Face: <https://github.com/huggingface/safetensors>. The crate checks the header, its offsets and sizes.

use safetensors::tensor::{Dtype as FileDtype, SafeTensors};

use super::dtype::Dtype;
use super::{State, source};
use crate::import::budget::Budget;
use crate::import::chain::{Source, Tensor};
use crate::import::{ImportError, Options};

/// The longest header that is read, in bytes: a network has some hundred per tensor.
const MAX_HEADER: u64 = 1 << 20;

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
    source(state, options)
}
