//! `.safetensors`: a header in JSON, then the tensors' bytes.

use std::collections::HashMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::arrays::Array;

/// The file of `arrays`, with `scales` as JSON in its metadata's `scales`: as tensors they would be no part of a `state_dict`.
///
/// # Errors
/// If an array has another number of elements than its shape says.
pub fn write(arrays: &[Array], scales: &[Array]) -> Result<Vec<u8>, SafeTensorError> {
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|array| array.data.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|(array, bytes)| {
        TensorView::new(Dtype::F32, array.shape.clone(), bytes).map(|view| (array.name.clone(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let scale = |array: &Array| format!("{:?}: {:?}", array.name, array.data);
    // One entry, as a map's order would make other bytes each time.
    let json = format!("{{{}}}", scales.iter().map(scale).collect::<Vec<_>>().join(", "));
    let metadata = (!scales.is_empty()).then(|| HashMap::from([("scales".to_owned(), json)]));
    serialize(views, metadata)
}
