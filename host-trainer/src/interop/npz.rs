//! `.npz`: a zip archive of `.npy` arrays, as `numpy.savez` writes them.
//!
//! Source of the format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, version 1.0.

use std::io::{self, Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::arrays::Array;

/// The archive of `arrays`, in their order.
///
/// # Errors
/// If two have the same name.
pub fn write(arrays: &[Array]) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // No time of day: the same weights make the same file.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for array in arrays {
        archive.start_file(format!("{}.npy", array.name), options).map_err(io::Error::other)?;
        archive.write_all(&npy(array))?;
    }
    Ok(archive.finish().map_err(io::Error::other)?.into_inner())
}

/// One array.
fn npy(array: &Array) -> Vec<u8> {
    let shape: String = array.shape.iter().map(|length| format!("{length}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version, length, header and its line end fill blocks of 64 bytes.
    let length = (header.len() + 11).next_multiple_of(64) - 10;
    header = format!("{header:<width$}\n", width = length - 1);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(array.data.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}
