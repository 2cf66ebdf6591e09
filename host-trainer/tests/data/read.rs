//! What is read is what was written.

use std::path::PathBuf;

use grulet_trainer::config::Config;
use grulet_trainer::data::{self, Dataset, Part, ReadOptions};
use proptest::prelude::*;

use crate::npz::{Array, npz};

const CONFIG: &str = r#"
[data]
train = "train.npz"
[model]
output = "last_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 1 }]
[train]
loss = "mse"
epochs = 1
"#;

/// Reads arrays with some settings.
fn read(arrays: &[Array], sets: &[&str]) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("train.npz");
    std::fs::write(&path, npz(arrays)).unwrap();
    let config = Config::parse(&folder.path().join("a.toml"), CONFIG, sets).unwrap_or_else(|error| panic!("{error}"));
    data::read(&path, &ReadOptions::new(&config, Part::Train)).map_err(|error| error.to_string())
}

/// Whole numbers that every type but the booleans can hold, as elements of type `descr`.
fn encode(descr: &str, values: &[u8]) -> Vec<u8> {
    let little = |value: u8| -> Vec<u8> {
        match &descr[1..] {
            "f2" => half(value).to_le_bytes().to_vec(),
            "f4" => f32::from(value).to_le_bytes().to_vec(),
            "f8" => f64::from(value).to_le_bytes().to_vec(),
            "b1" => vec![value.min(1)],
            whole => {
                let size: usize = whole[1..].parse().unwrap();
                let mut bytes = vec![0; size];
                bytes[0] = value;
                bytes
            }
        }
    };
    let swap = descr.starts_with('>');
    values
        .iter()
        .flat_map(|&value| if swap { little(value).into_iter().rev().collect() } else { little(value) })
        .collect()
}

/// A whole number as IEEE binary16, by its definition.
fn half(value: u8) -> u16 {
    if value == 0 {
        return 0;
    }
    let exponent = 7 - value.leading_zeros() as u16;
    (exponent + 15) << 10 | (u16::from(value) << (10 - exponent)) & 0x3ff
}

const TYPES: [&str; 21] = [
    "|b1", "|i1", "|u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8", "<f2",
    ">f2", "<f4", ">f4", "<f8", ">f8",
];

proptest! {
    #[test]
    fn every_type_order_and_shape_is_read(
        descr in proptest::sample::select(&TYPES[..]),
        fortran: bool,
        (n, t, c) in (1usize..5, 1usize..5, 1usize..4),
        seed: u32,
    ) {
        let value = |i: usize| (seed.wrapping_mul(i as u32 + 1).wrapping_mul(2_654_435_761) >> 25) as u8;
        let values: Vec<u8> = (0..n * t * c).map(value).collect();
        // Fortran order: the first axis varies fastest.
        let stored: Vec<u8> = if fortran {
            let index = |i: usize| (i % n * t + i / n % t) * c + i / n / t;
            (0..values.len()).map(|i| values[index(i)]).collect()
        } else {
            values.clone()
        };
        let x = Array { name: "x", descr, fortran, shape: vec![n, t, c], bytes: encode(descr, &stored) };
        let data = read(&[x, Array::f32("y", &[n], (0..n).map(|i| i as f32))], &[]).unwrap();
        let expected = |v: &u8| if descr == "|b1" { f32::from(v.min(&1).to_owned()) } else { f32::from(*v) };
        let found: Vec<f32> = data.series.iter().flat_map(|series| series.x.clone()).collect();
        prop_assert_eq!(found, values.iter().map(expected).collect::<Vec<f32>>());
        prop_assert_eq!((data.series.len(), data.inputs(), data.steps(0)), (n, c, t));
        prop_assert!(data.series.iter().enumerate().all(|(i, series)| series.targets == [i as f32]));
    }

    #[test]
    fn lengths_cut_rows_and_dense_arrays_alike(lengths in proptest::collection::vec(1usize..6, 1..6), c in 1usize..4) {
        let (n, t) = (lengths.len(), 6);
        let value = |series: usize, step: usize, channel: usize| (100 * series + 10 * step + channel) as f32;
        let cells = |steps: usize, series: usize| (0..steps).flat_map(move |step| (0..c).map(move |k| value(series, step, k)));
        let rows: Vec<f32> = lengths.iter().enumerate().flat_map(|(series, &steps)| cells(steps, series)).collect();
        let dense: Vec<f32> = (0..n).flat_map(|series| cells(t, series)).collect();
        let n_array = || Array::i32("n", &lengths.iter().map(|&steps| steps as i32).collect::<Vec<_>>());
        let total: usize = lengths.iter().sum();
        let every = ["data.npz.lengths=n", "model.output=every_step"];
        let y: Vec<f32> = rows.iter().step_by(c).copied().collect();
        let from_rows = read(&[Array::f32("x", &[total, c], rows.clone()), Array::f32("y", &[total], y), n_array()], &every).unwrap();
        let y: Vec<f32> = dense.iter().step_by(c).copied().collect();
        let from_dense = read(&[Array::f32("x", &[n, t, c], dense), Array::f32("y", &[n, t], y), n_array()], &every).unwrap();
        prop_assert_eq!(&from_rows, &from_dense);
        for (index, series) in from_rows.series.iter().enumerate() {
            prop_assert_eq!(&series.x, &cells(lengths[index], index).collect::<Vec<_>>());
            prop_assert_eq!(&series.targets, &series.x.iter().step_by(c).copied().collect::<Vec<_>>());
        }
    }
}

#[test]
fn signed_numbers_keep_their_sign() {
    for descr in ["|i1", "<i2", ">i4", "<i8", "<f2", ">f8"] {
        let bytes: Vec<u8> = match descr {
            "|i1" => vec![(-3i8) as u8],
            "<i2" => (-3i16).to_le_bytes().to_vec(),
            ">i4" => (-3i32).to_be_bytes().to_vec(),
            "<i8" => (-3i64).to_le_bytes().to_vec(),
            // -1.5 · 2
            "<f2" => 0xc200u16.to_le_bytes().to_vec(),
            _ => (-3f64).to_be_bytes().to_vec(),
        };
        let x = Array { name: "x", descr, fortran: false, shape: vec![1, 1, 1], bytes };
        assert_eq!(read(&[x, Array::f32("y", &[1], [0.0])], &[]).unwrap().series[0].x, [-3.0], "{descr}");
    }
}

/// As Keras's `Embedding` takes them: without an axis of one channel.
#[test]
fn tokens_need_no_axis_of_channels() {
    let layers = r#"model.layers=[{ type = "embedding", vocabulary = 6, units = 2 }, { type = "gru", units = 4 }, { type = "dense" }]"#;
    let with_lengths = [layers, "data.npz.lengths=n"];
    let series = |shape: &[usize], sets: &[&str]| -> Result<Vec<Vec<f32>>, String> {
        let x = Array {
            shape: shape.to_vec(),
            ..Array::i32("x", &Vec::from_iter(0..shape.iter().product::<usize>() as i32))
        };
        let data = read(&[x, Array::f32("y", &[2], [0.0, 1.0]), Array::i32("n", &[2, 3])], sets)?;
        Ok(data.series.into_iter().map(|series| series.x).collect())
    };
    let whole = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]];
    assert_eq!(series(&[2, 3, 1], &[layers]).unwrap(), whole);
    assert_eq!(series(&[2, 3], &[layers]).unwrap(), whole);
    assert_eq!(series(&[2, 3], &with_lengths).unwrap(), [&[0.0, 1.0][..], &[3.0, 4.0, 5.0]]);
    // One after the other.
    for shape in [&[5, 1][..], &[5]] {
        assert_eq!(series(shape, &with_lengths).unwrap(), [&[0.0, 1.0][..], &[2.0, 3.0, 4.0]], "{shape:?}");
    }
    let error = series(&[6], &[layers]).unwrap_err();
    assert!(error.contains("tokens are (series, steps)") && error.contains("`data.npz.lengths`"), "{error}");
    let error = series(&[2, 3], &[]).unwrap_err();
    assert!(error.contains("(series, steps, channels)"), "{error}");
}

#[test]
fn scales_are_one_for_all_or_one_per_column() {
    let arrays = || {
        vec![
            Array::f32("x", &[2, 1, 2], [1.0, 2.0, 3.0, 4.0]),
            Array::f32("y", &[2], [10.0, 20.0]),
            Array::f32("factors", &[2], [2.0, 0.5]),
            Array::f32("one", &[], [0.1]),
        ]
    };
    let x = |set: &str| {
        read(&arrays(), &[set]).map(|data| data.series.iter().flat_map(|s| s.x.clone()).collect::<Vec<_>>())
    };
    assert_eq!(x("data.npz.x_scale=10").unwrap(), [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(x("data.npz.x_scale=[10, 0.5]").unwrap(), [10.0, 1.0, 30.0, 2.0]);
    assert_eq!(x("data.npz.x_scale=factors").unwrap(), [2.0, 1.0, 6.0, 2.0]);
    for (set, phrase) in [
        ("data.npz.x_scale=[1, 2, 3]", "`data.npz.x_scale` has 3 entries, but there are 2"),
        ("data.npz.x_scale=0", "`data.npz.x_scale` has the factor 0"),
        ("data.npz.x_scale=factor", "mean \"factors\""),
        ("data.npz.y_scale=factors", "`data.npz.y_scale` has 2 entries, but there are 1"),
    ] {
        let error = x(set).unwrap_err();
        assert!(error.contains(phrase), "{error}");
    }
    let y = read(&arrays(), &["data.npz.y_scale=one"]).unwrap();
    assert_eq!((y.series[0].targets[0], y.series[1].targets[0]), (1.0, 2.0));
}

#[test]
fn names_come_from_the_archive_or_the_configuration() {
    let word = |text: &str| text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect::<Vec<u8>>();
    let names = |name: &'static str, a: &str, b: &str| Array {
        name,
        descr: "<U2",
        fortran: false,
        shape: vec![2],
        bytes: [word(a), word(b)].concat(),
    };
    let arrays =
        |name| [Array::f32("x", &[1, 1, 2], [1.0, 2.0]), Array::f32("y", &[1], [0.0]), names(name, "ax", "é\0")];
    assert_eq!(read(&arrays("channels"), &[]).unwrap().channels, ["ax", "é"]);
    assert_eq!(read(&arrays("other"), &[]).unwrap().channels, ["c0", "c1"]);
    assert_eq!(read(&arrays("other"), &["data.channels=other"]).unwrap().channels, ["ax", "é"]);
    assert_eq!(read(&arrays("channels"), &["data.channels=[\"p\", \"q\"]"]).unwrap().channels, ["p", "q"]);
    let error = read(&arrays("channels"), &["data.units=y"]).unwrap_err();
    assert!(error.contains("\"y\" holds 32-bit floats, but names are strings"), "{error}");
}
