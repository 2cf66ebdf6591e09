//! The counts of numbers that did not fit. In a program of its own: they are the program's.
#![cfg(all(feature = "alloc", feature = "saturations"))]

mod common;

use common::{dense, header};
use grulet::blob::{Contents, LayerWeights, Range, write_int8};
use grulet::saturations::{Saturations, take};
use grulet::spec::Activation;
use grulet::*;

#[test]
fn what_does_not_fit_is_counted() {
    type Net = (Dense<1, 2, Linear, Int8>,);
    let layers = [dense(1, 2, Activation::Linear)];
    let contents = Contents {
        header: header(&layers),
        layers: &[LayerWeights { kernel: &[1.0, -2.0], recurrent: &[], bias: &[0.0; 2] }],
        mean: &[10.0],
        scale: &[1.0],
        output_scale: &[],
        output_offset: &[],
        golden: &[],
    };
    let blob = write_int8(&contents, &[Range { input: 3.0, output: 2.0 }]).unwrap();
    let model = Model::<Net>::from_blob(&blob).unwrap();
    let mut stream = model.stream();

    take();
    stream.step(&[10.9]);
    assert_eq!(take(), Saturations { inputs: 0, units: 0 });
    // Twice 1.5 is beyond 2; 1.5 itself is not.
    stream.step(&[11.5]);
    stream.step(&[8.5]);
    assert_eq!(take(), Saturations { inputs: 0, units: 2 });
    // An input beyond 3 from its mean, of either sign or without end; a NaN is the mean.
    for x in [13.5, 6.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        stream.step(&[x]);
    }
    assert_eq!(take(), Saturations { inputs: 4, units: 8 });
    assert_eq!(take(), Saturations::default());
}
