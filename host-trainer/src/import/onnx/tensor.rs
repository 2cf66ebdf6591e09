//! Tensors of an ONNX file as plain arrays: inside it, or in a file beside it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::proto::{self, kind};
use crate::files::FileError;
use crate::import::budget::Budget;
use crate::import::{ImportError, chain};

/// Elements of all constants together, whether read or computed: more than any microcontroller's flash holds.
pub const MAX_ELEMENTS: usize = 8 << 20;

/// The elements of a constant, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Of any float type.
    Real(Vec<f32>),
    /// Of any whole type, or booleans.
    Whole(Vec<i64>),
}

impl Elements {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Elements::Real(data) => data.len(),
            Elements::Whole(data) => data.len(),
        }
    }

    /// Those at these places, in order. Places come from shapes that have been checked.
    pub fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Elements::Real(data) => Elements::Real(places.filter_map(|at| data.get(at).copied()).collect()),
            Elements::Whole(data) => Elements::Whole(places.filter_map(|at| data.get(at).copied()).collect()),
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Where it is from.
    pub name: String,
    /// Its shape, outermost dimension first. As many elements as this says are there.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Elements,
}

impl Array {
    /// Whole numbers.
    pub fn whole(name: &str, shape: Vec<usize>, data: Vec<i64>) -> Self {
        Self { name: name.to_owned(), shape, data: Elements::Whole(data) }
    }

    /// The elements as whole numbers, if they are.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.data {
            Elements::Whole(data) => Some(data),
            Elements::Real(_) => None,
        }
    }

    /// The elements as floats.
    pub fn reals(&self) -> Vec<f32> {
        match &self.data {
            Elements::Real(data) => data.clone(),
            Elements::Whole(data) => data.iter().map(|&value| value as f32).collect(),
        }
    }

    /// Its value, if all elements are alike.
    pub fn uniform(&self) -> Option<f32> {
        let data = self.reals();
        let first = *data.first()?;
        data.iter().all(|&value| value == first).then_some(first)
    }

    /// As a tensor of a chain.
    pub fn tensor(&self) -> chain::Tensor {
        chain::Tensor { source: self.name.clone(), shape: self.shape.clone(), data: self.reals() }
    }

    /// Where each step along a dimension leads, in elements.
    pub fn strides(shape: &[usize]) -> Vec<usize> {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        strides
    }
}

/// The places in row-major order that `shape` with these strides visits.
pub fn walk(shape: &[usize], strides: &[usize], start: usize) -> impl Iterator<Item = usize> {
    let count: usize = shape.iter().product();
    (0..count).map(move |mut index| {
        let mut place = start;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            place += index % size * stride;
            index /= size;
        }
        place
    })
}

/// The array that `tensor` describes; data outside of the model are read from `folder`.
///
/// # Errors
/// If it is of an unknown type, or its data are not as many as its shape says.
pub fn array(tensor: &proto::Tensor, name: &str, folder: &Path, budget: &Budget) -> Result<Array, ImportError> {
    let damaged = |what: String| ImportError::Damaged(format!("the tensor {name:?}: {what}"));
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| damaged(format!("the shape {:?}", tensor.dims)))?;
    let count = budget.take(&shape)?;
    let width = match tensor.data_type {
        kind::F32 | kind::I32 => 4,
        kind::F64 | kind::I64 => 8,
        kind::F16 | kind::BF16 => 2,
        kind::BOOL => 1,
        other => {
            return Err(ImportError::unsupported(
                format!("the tensor {name:?} of the element type {other}"),
                "save it in float32; `grulet quantize` makes integers of it",
            ));
        }
    };
    let bytes = count.checked_mul(width).ok_or_else(|| damaged(format!("the shape {shape:?}")))?;
    let outside;
    let raw = if tensor.data_location == 1 {
        outside = external(tensor, name, folder, bytes)?;
        Some(&outside[..])
    } else {
        tensor.raw_data.as_deref()
    };
    let data = match raw {
        Some(raw) if raw.len() != bytes => {
            return Err(damaged(format!("{} bytes for the shape {shape:?}, which takes {bytes}", raw.len())));
        }
        Some(raw) => from_bytes(raw, tensor.data_type),
        None => from_lists(tensor),
    };
    if data.len() != count {
        return Err(damaged(format!("{} elements for the shape {shape:?}", data.len())));
    }
    Ok(Array { name: name.to_owned(), shape, data })
}

/// Little-endian, as the format has them on every machine.
fn from_bytes(raw: &[u8], data_type: i32) -> Elements {
    fn each<const N: usize, T>(raw: &[u8], make: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks().0.iter().map(|&bytes| make(bytes)).collect()
    }
    match data_type {
        kind::F32 => Elements::Real(each(raw, f32::from_le_bytes)),
        kind::F64 => Elements::Real(each(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        kind::F16 => Elements::Real(each(raw, |bytes| f16::from_le_bytes(bytes).to_f32())),
        kind::BF16 => Elements::Real(each(raw, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        kind::I32 => Elements::Whole(each(raw, |bytes| i32::from_le_bytes(bytes).into())),
        kind::I64 => Elements::Whole(each(raw, i64::from_le_bytes)),
        _ => Elements::Whole(raw.iter().map(|&byte| byte.into()).collect()),
    }
}

/// From the list of numbers that belongs to the type.
fn from_lists(tensor: &proto::Tensor) -> Elements {
    let ints = || tensor.int32_data.iter();
    match tensor.data_type {
        kind::F32 => Elements::Real(tensor.float_data.clone()),
        kind::F64 => Elements::Real(tensor.double_data.iter().map(|&value| value as f32).collect()),
        kind::F16 => Elements::Real(ints().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect()),
        kind::BF16 => Elements::Real(ints().map(|&bits| bf16::from_bits(bits as u16).to_f32()).collect()),
        kind::I64 => Elements::Whole(tensor.int64_data.clone()),
        _ => Elements::Whole(ints().map(|&value| value.into()).collect()),
    }
}

/// `bytes` bytes of the file that `tensor` names, which must lie in `folder` or below it.
fn external(tensor: &proto::Tensor, name: &str, folder: &Path, bytes: usize) -> Result<Vec<u8>, ImportError> {
    let damaged = |what: String| ImportError::Damaged(format!("the tensor {name:?}: {what}"));
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
    let number = |key: &str| match entry(key) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| damaged(format!("{key} = {text:?}"))),
        None => Ok(None),
    };
    let location = entry("location").filter(|location| !location.is_empty());
    let location = location.ok_or_else(|| damaged("no location of its data".to_owned()))?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(bytes as u64));
    if length != bytes as u64 {
        return Err(damaged(format!("{length} bytes in {location:?}, but its shape takes {bytes}")));
    }
    let path = inside(folder, location)
        .ok_or_else(|| damaged(format!("its data are in {location:?}, which is outside of the model's folder")))?;
    let failed = |source| FileError::new(&path, "read", source);
    // A device or a pipe need not end, nor even begin.
    if !std::fs::metadata(&path).map_err(failed)?.is_file() {
        return Err(damaged(format!("its data are in {location:?}, which is no file")));
    }
    let mut file = File::open(&path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len().saturating_sub(offset) < bytes as u64 {
        return Err(damaged(format!("its data at {offset} go beyond the end of {location:?}")));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut data = Vec::new();
    file.take(bytes as u64).read_to_end(&mut data).map_err(failed)?;
    Ok(data)
}

/// `location` below `folder`, links followed; a file that is not there is left to be missed when it is opened.
fn inside(folder: &Path, location: &str) -> Option<PathBuf> {
    use std::path::Component::{CurDir, Normal};
    let relative = Path::new(location);
    if !relative.components().all(|part| matches!(part, Normal(_) | CurDir)) {
        return None;
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = folder.join(relative);
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder).then_some(path),
        _ => Some(path),
    }
}
