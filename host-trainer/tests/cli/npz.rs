//! Archives as NumPy writes them.

use std::io::Write;

/// One array of a `.npz`.
pub struct Array {
    pub name: &'static str,
    /// As NumPy writes it, such as `<f4`.
    pub descr: &'static str,
    pub fortran: bool,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Array {
    pub fn f32(name: &'static str, shape: &[usize], values: impl IntoIterator<Item = f32>) -> Self {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Array { name, descr: "<f4", fortran: false, shape: shape.to_vec(), bytes }
    }

    pub fn i32(name: &'static str, values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Array { name, descr: "<i4", fortran: false, shape: vec![values.len()], bytes }
    }
}

/// The bytes of a `.npz`, deflated.
pub fn npz(arrays: &[Array]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for Array { name, descr, fortran, shape, bytes } in arrays {
        let shape: String = shape.iter().map(|size| format!("{size},")).collect();
        let order = if *fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
