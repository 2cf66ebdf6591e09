//! Weights read back out of a blob, and what a stream shows of its layers.
#![cfg(feature = "alloc")]

mod common;

use common::{ACTIVATIONS, CANDIDATES, GATES, Net, RESETS, Random, bits, dense, gru};
use grulet::blob::{Blob, Contents, Range, unpack, write, write_int8};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Reset};
use grulet::{AnyModel, Error, Exact, Int8};

/// Sizes with blocks of all widths, both reset variants.
fn nets() -> impl Iterator<Item = Net> {
    (0..24).map(|seed| {
        let mut random = Random(seed);
        let reset = RESETS[seed as usize % 2];
        let [i, h, k, o] = [(); 4].map(|()| 1 + (random.next() % 37) as u16);
        let layers = [
            dense(i, k, random.pick(&ACTIVATIONS[..5])),
            gru(k, h, reset, random.pick(&GATES), random.pick(&CANDIDATES[..2])),
            dense(h, o, Activation::Linear),
        ];
        Net::random(&layers, &mut random)
    })
}

#[test]
fn weights_come_back_as_they_were_written() {
    for net in nets() {
        let blob = net.blob();
        let parsed = Blob::parse(blob.as_ref()).unwrap();
        let weights = unpack(&parsed).unwrap();
        assert_eq!(weights.len(), net.layers.len());
        for (found, written) in weights.iter().zip(&net.layers) {
            assert_eq!(bits(&found.kernel), bits(&written.kernel));
            assert_eq!(bits(&found.recurrent), bits(&written.recurrent));
            let mut bias = written.bias.clone();
            if let LayerSpec::Gru { hidden, reset: Reset::After, .. } = written.spec {
                let (of_x, of_h) = bias.split_at_mut(3 * usize::from(hidden));
                for (x, h) in of_x.iter_mut().zip(of_h).take(2 * usize::from(hidden)) {
                    *x += std::mem::take(h);
                }
            }
            assert_eq!(bits(&found.bias), bits(&bias));
        }

        // And a blob made of them is the blob that they came from; so are the integers.
        let own: Vec<_> = net
            .layers
            .iter()
            .map(|l| grulet::blob::LayerWeights { kernel: &l.kernel, recurrent: &l.recurrent, bias: &l.bias })
            .collect();
        let back: Vec<_> = weights.iter().map(|weights| weights.borrow()).collect();
        let affine = parsed.affine();
        let contents = |layers| Contents {
            header: parsed.header().clone(),
            layers,
            mean: affine.mean,
            scale: affine.scale,
            output_scale: affine.output_scale,
            output_offset: affine.output_offset,
            golden: parsed.golden_inputs(),
        };
        assert_eq!(write(&contents(&back)).unwrap().as_ref(), blob.as_ref());
        let ranges = [Range { input: 4.0, output: 30.0 }; 3];
        let int8 = write_int8(&contents(&back), &ranges).unwrap();
        assert_eq!(int8.as_ref(), write_int8(&contents(&own), &ranges).unwrap().as_ref());
        assert!(matches!(unpack(&Blob::parse(int8.as_ref()).unwrap()), Err(Error::Storage { .. })));
    }
}

#[test]
fn a_stream_shows_each_layers_inputs_and_outputs() {
    let layers = [
        gru(3, 5, Reset::Before, Gate::Sigmoid, Candidate::Tanh),
        dense(5, 4, Activation::Tanh),
        gru(4, 2, Reset::After, Gate::Sigmoid, Candidate::Tanh),
    ];
    let mut random = Random(5);
    let mut net = Net::random(&layers, &mut random);
    (net.output_scale, net.output_offset) = (vec![1.0; 2], vec![0.0; 2]);
    let blob = net.blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let (mut watched, mut plain) = (model.heap_stream(), model.heap_stream());
    for _ in 0..4 {
        let sample = random.floats(3, 2.0);
        let mut seen = Vec::new();
        let outputs = watched.step_observed(&sample, |layer, x, y| seen.push((layer, x.to_vec(), y.to_vec()))).unwrap();
        assert_eq!(outputs, plain.step(&sample).unwrap());
        let normalised: Vec<f32> = (0..3).map(|i| (sample[i] - net.mean[i]) * net.scale[i]).collect();
        assert_eq!(seen.iter().map(|(layer, ..)| *layer).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(seen[0].1, normalised);
        assert_eq!((seen[0].2.len(), seen[1].2.len()), (5, 4));
        assert_eq!((&seen[0].2, &seen[1].2), (&seen[1].1, &seen[2].1), "what one layer gives, the next one takes");
        assert_eq!(seen[2].2, outputs);
        assert_eq!(watched.state(), [&seen[0].2[..], &seen[2].2[..]].concat());
    }

    // In integers the same, in units.
    let weights = unpack(&Blob::parse(blob.as_ref()).unwrap()).unwrap();
    let weights: Vec<_> = weights.iter().map(|weights| weights.borrow()).collect();
    let contents = Contents {
        header: net.header(),
        layers: &weights,
        mean: &net.mean,
        scale: &net.scale,
        output_scale: &[],
        output_offset: &[],
        golden: &net.golden,
    };
    let int8 = write_int8(&contents, &[Range { input: 8.0, output: 1.0 }; 3]).unwrap();
    let model = AnyModel::<Int8>::from_blob(&int8).unwrap();
    let mut stream = model.heap_stream();
    let mut units = Vec::new();
    let outputs = stream.step_observed(&[1.0, -1.0, 0.5], |_, _, y| units = y.to_vec()).unwrap().to_vec();
    assert_eq!(outputs, units.iter().map(|&unit| f32::from(unit) / 32_768.0).collect::<Vec<_>>());
}
