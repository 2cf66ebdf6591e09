//! Encoder-decoders: gradients against differences of the loss in `f64`, the runtime against the trainer, and threads.

mod common;

use common::checkpoint;
use common::tolerances::{GRADIENT_F64, RUNTIME, STEP};
use grulet::blob::{Contents, LayerWeights, Names, Provenance, Range, write};
use grulet::spec::{Activation, Candidate, Decoding, Gate, LayerSpec, Output, Reset, Storage};
use grulet::{AnySeq2Seq, Exact, Int8};
use grulet_trainer::data::{Dataset, Series};
use grulet_trainer::evaluate::{Loaded, write_sequences};
use grulet_trainer::nn::{Batch, DecoderInputs, Error, Loss, Network, Real, Regularization, Rng, Trainer};
use grulet_trainer::quantize::{Float, integer_outputs};

const TOKENS: u16 = 6;
const DECODING: Decoding = Decoding { encoder: 3, start: 4, stop: 5, longest: 4 };

fn gru(inputs: u16, hidden: u16, reset: Reset) -> LayerSpec {
    LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh }
}

/// Two GRUs on each side.
fn layers(reset: Reset) -> Vec<LayerSpec> {
    let embedding = |vocabulary, outputs| LayerSpec::Embedding { vocabulary, outputs };
    let dense = LayerSpec::Dense { inputs: 2, outputs: TOKENS, activation: Activation::Softmax };
    vec![
        embedding(7, 3),
        gru(3, 4, reset),
        gru(4, 2, reset),
        embedding(TOKENS, 2),
        gru(2, 4, reset),
        gru(4, 2, reset),
        dense,
    ]
}

fn network<R: Real>(reset: Reset, seed: u64) -> Network<R> {
    let mut network = Network::<R>::new(&layers(reset), Output::Sequence(DECODING), seed).unwrap();
    let mut rng = Rng::new(seed, 1000);
    network.params_mut().iter_mut().for_each(|w| *w += R::from_f64(1.6 * rng.uniform() - 0.8));
    network
}

/// Pairs of lengths of their own on both sides, more than a shard of them, with NaN in all padding.
fn batch<R: Real>(seed: u64, rows: usize) -> Batch<R> {
    let mut rng = Rng::new(seed, 1001);
    let lengths: Vec<usize> = (0..rows).map(|row| 1 + row * 3 % 5).collect();
    let answers: Vec<usize> = (0..rows).map(|row| 1 + row * 2 % 4).collect();
    let mut series = |steps: usize, lengths: &[usize], tokens: u16| -> Vec<R> {
        let mut token = |site: usize| {
            let token = (rng.uniform() * f64::from(tokens)).floor();
            if site / rows < lengths[site % rows] { token } else { f64::NAN }
        };
        (0..steps * rows).map(|site| R::from_f64(token(site))).collect()
    };
    Batch {
        steps: 6,
        x: series(6, &lengths, 7),
        targets: series(5, &answers, TOKENS),
        decoder: Some(DecoderInputs { steps: 5, x: series(5, &answers, TOKENS), lengths: answers }),
        lengths,
        ..Batch::default()
    }
}

#[test]
fn gradients_pass_from_the_decoder_into_the_encoder() {
    for (seed, reset) in [(1, Reset::Before), (2, Reset::After)] {
        let batch = batch::<f64>(seed, 11);
        let mut trainer = Trainer::new(network(reset, seed), Loss::SparseCategoricalCrossEntropy, 2).unwrap();
        let regularization = Regularization {
            seed: 5,
            recurrent_dropout: vec![0.3; 7],
            dropout: vec![0.0, 0.2, 0.2, 0.0, 0.2, 0.0, 0.2],
            ..Default::default()
        };
        for regularization in [Regularization::default(), regularization] {
            trainer.regularize(regularization).unwrap();
            let loss = |trainer: &mut Trainer<f64>| {
                trainer.start_batch(3);
                trainer.gradient(&batch).unwrap().loss()
            };
            loss(&mut trainer);
            let gradients = trainer.gradients().to_vec();
            let tensors = trainer.network().tensors().to_vec();
            for tensor in tensors {
                let mut largest: f64 = 0.0;
                for index in tensor.range.clone() {
                    let own = trainer.network().params()[index];
                    let mut at = |steps: f64| {
                        trainer.network_mut().params_mut()[index] = own + steps * STEP;
                        loss(&mut trainer)
                    };
                    let (near, far) = (at(1.0) - at(-1.0), at(2.0) - at(-2.0));
                    trainer.network_mut().params_mut()[index] = own;
                    let quotient = (8.0 * near - far) / (12.0 * STEP);
                    let difference = (quotient - gradients[index]).abs() / gradients[index].abs().max(1.0);
                    assert!(
                        difference < GRADIENT_F64,
                        "{reset:?} {} {index}: {quotient} {}",
                        tensor.name,
                        gradients[index]
                    );
                    largest = largest.max(gradients[index].abs());
                }
                assert!(largest > 1e-4, "{}: nothing depends on it", tensor.name);
            }
        }
    }
}

/// Both sides take tokens or their one-hot vectors, with dropout; equal but for the order of sums.
#[test]
fn tokens_give_what_their_vectors_give() {
    let batch = batch::<f64>(3, 11);
    let vectors = |x: &[f64], width: u16| -> Vec<f64> {
        let vector = |&x: &f64| (0..width).map(move |token| f64::from(u8::from(x == f64::from(token))));
        x.iter().flat_map(vector).collect()
    };
    let mut of_vectors = Batch { x: vectors(&batch.x, 7), ..batch.clone() };
    let fed = of_vectors.decoder.as_mut().unwrap();
    fed.x = vectors(&fed.x, TOKENS);
    for reset in [Reset::Before, Reset::After] {
        let hot = |vocabulary| LayerSpec::OneHot { vocabulary };
        let dense = LayerSpec::Dense { inputs: 4, outputs: TOKENS, activation: Activation::Softmax };
        let layers = [hot(7), gru(7, 4, reset), hot(TOKENS), gru(TOKENS, 4, reset), dense];
        let results = |layers: &[LayerSpec], encoder, batch: &Batch<f64>, rates: [&[f64]; 2]| {
            let output = Output::Sequence(Decoding { encoder, ..DECODING });
            let network = Network::new(layers, output, 8).unwrap();
            let mut trainer = Trainer::new(network, Loss::SparseCategoricalCrossEntropy, 1).unwrap();
            let [dropout, recurrent_dropout] = rates.map(<[f64]>::to_vec);
            let rates = Regularization { seed: 5, dropout, recurrent_dropout, ..Default::default() };
            trainer.regularize(rates).unwrap();
            let loss = trainer.gradient(batch).unwrap().loss();
            [vec![loss], trainer.outputs(), trainer.gradients().to_vec()].concat()
        };
        let rates = [&[0.5, 0.3, 0.5, 0.4, 0.2][..], &[0.0, 0.3, 0.0, 0.3]];
        let found = results(&layers, 2, &batch, rates);
        let rates = [&[0.3, 0.4, 0.2][..], &[0.3, 0.3]];
        let expected = results(&[layers[1], layers[3], layers[4]], 1, &of_vectors, rates);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected} {reset:?}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    let batch = batch::<f32>(3, 40);
    let of_threads = |threads| {
        let mut trainer = Trainer::new(network(Reset::After, 3), Loss::SparseCategoricalCrossEntropy, threads).unwrap();
        let loss = trainer.gradient(&batch).unwrap().loss();
        (loss.to_bits(), trainer.gradients().iter().map(|g| g.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(of_threads(1), of_threads(2));
    assert_eq!(of_threads(1), of_threads(7));
}

#[test]
fn a_batch_must_have_what_the_network_takes() {
    let mut trainer = Trainer::new(network::<f32>(Reset::After, 3), Loss::SparseCategoricalCrossEntropy, 1).unwrap();
    let good = batch::<f32>(3, 4);
    let without = Batch { decoder: None, ..good.clone() };
    assert_eq!(trainer.gradient(&without).err(), Some(Error::Decoder { expected: true }));
    let mut short = good.clone();
    short.decoder.as_mut().unwrap().lengths[2] = 6;
    assert_eq!(trainer.gradient(&short).err(), Some(Error::Length { row: 2, found: 6, steps: 5 }));
    trainer.gradient(&good).unwrap();
    let mut other = layers(Reset::After);
    other[5] = gru(4, 3, Reset::After);
    let error = Network::<f32>::new(&other, Output::Sequence(DECODING), 1).err();
    assert_eq!(error, Some(Error::HandOver { encoder: vec![4, 2], decoder: vec![4, 3] }));
}

/// The same network in the runtime.
fn blob(network: &Network<f32>) -> grulet::blob::AlignedBytes {
    let tensor = |layer: usize, kind: &str| {
        let found = network.tensors().iter().find(|t| t.layer == layer && t.name.ends_with(kind));
        found.map_or(&[][..], |t| &network.params()[t.range.clone()])
    };
    let layers: Vec<LayerWeights<'_>> = (0..network.layers().len())
        .map(|layer| LayerWeights {
            kernel: [tensor(layer, ".kernel"), tensor(layer, ".embeddings")]
                .into_iter()
                .max_by_key(|t| t.len())
                .unwrap(),
            recurrent: tensor(layer, ".recurrent_kernel"),
            bias: tensor(layer, ".bias"),
        })
        .collect();
    let header = grulet::Header {
        storage: Storage::F32,
        layers: network.layers().iter().copied().collect(),
        output: network.output(),
        name: "",
        outputs: Names::new(""),
        channels: Names::new(""),
        units: Names::new(""),
        sample_rate: 0.0,
        window: 0,
        horizon: 0,
        provenance: Provenance::default(),
        golden: Default::default(),
    };
    let none: &[f32] = &[];
    write(&Contents {
        header,
        layers: &layers,
        mean: none,
        scale: none,
        output_scale: none,
        output_offset: none,
        golden: none,
    })
    .unwrap()
}

fn dataset(pairs: &[(Vec<f32>, Vec<f32>)]) -> Dataset {
    let series = |(x, targets): &(Vec<f32>, Vec<f32>)| Series {
        name: String::new(),
        group: None,
        start: 0,
        x: x.clone(),
        targets: targets.clone(),
        weights: vec![],
    };
    Dataset {
        series: pairs.iter().map(series).collect(),
        channels: vec!["token".into()],
        units: vec![],
        classes: vec![],
        sample_rate: None,
        output: Output::Sequence(DECODING),
        target_width: 1,
    }
}

#[test]
fn the_runtime_gives_what_was_trained() {
    for reset in [Reset::Before, Reset::After] {
        let network = network::<f32>(reset, 9);
        let blob = blob(&network);
        let mut trainer = Trainer::new(network, Loss::SparseCategoricalCrossEntropy, 1).unwrap();
        let (x, targets) = (vec![3.0, 0.0, 6.0, 1.0, 1.0], vec![2.0, 0.0, 3.0, 5.0]);
        let batch = Batch {
            steps: x.len(),
            lengths: vec![x.len()],
            x: x.clone(),
            decoder: Some(DecoderInputs { steps: 4, lengths: vec![4], x: vec![4.0, 2.0, 0.0, 3.0] }),
            ..Batch::default()
        };
        let expected = trainer.forward(&batch).unwrap();
        let model = Loaded::<Exact>::from_blob(&blob).unwrap();
        let found = model.run(&dataset(&[(x, targets)]), |_, _, _| {}).unwrap();
        assert_eq!(found.values.len(), 4 * usize::from(TOKENS));
        for (found, expected) in found.values.iter().zip(&expected) {
            assert!((f64::from(*found) - f64::from(*expected)).abs() < RUNTIME, "{found} {expected}");
        }
    }
}

/// The most probable of all sequences, by trying each.
fn exhaustive(model: &AnySeq2Seq<'_, Exact>, x: &[f32]) -> (Vec<u16>, f64) {
    let mut encoder = model.heap_encoder();
    x.iter().for_each(|&x| _ = encoder.step(&[x]).unwrap());
    let (mut best, mut todo) = ((vec![], f64::NEG_INFINITY), vec![(vec![], 0.0)]);
    while let Some((tokens, log)) = todo.pop() {
        let mut decoder = model.heap_decoder(&encoder).unwrap();
        let mut scores = decoder.step(DECODING.start).unwrap().to_vec();
        for &token in &tokens {
            scores = decoder.step(token).unwrap().to_vec();
        }
        for token in 0..TOKENS {
            let log = log + f64::from(scores[usize::from(token)]).ln();
            if token == DECODING.stop {
                if log > best.1 {
                    best = (tokens.clone(), log);
                }
            } else if tokens.len() < DECODING.longest.into() {
                todo.push(([&tokens[..], &[token]].concat(), log));
            }
        }
    }
    best
}

#[test]
fn a_beam_finds_what_greed_misses() {
    let mut better = 0;
    for seed in 0..40 {
        let blob = blob(&network::<f32>(Reset::Before, seed));
        let Loaded::Pair(model) = Loaded::<Exact>::from_blob(&blob).unwrap() else { panic!("an encoder-decoder") };
        let x = vec![1.0, 5.0, (seed % 7) as f32];
        let data = dataset(&[(x.clone(), vec![])]);
        let of_beam = |beam| write_sequences(&model, &data, beam).unwrap().remove(0);
        let (tokens, log) = exhaustive(&model, &x);

        // A beam of 1 is what the chip does.
        let mut encoder = model.heap_encoder();
        x.iter().for_each(|&x| _ = encoder.step(&[x]).unwrap());
        let mut decoder = model.heap_decoder(&encoder).unwrap();
        let greedy: Vec<u16> = std::iter::from_fn(|| decoder.next_token().unwrap()).collect();
        let narrow = of_beam(1);
        assert_eq!((&narrow.tokens, narrow.stopped), (&greedy, decoder.has_stopped()), "{seed}");

        let wide = of_beam(8);
        if narrow.stopped && wide.stopped {
            assert!(wide.log_probability <= log + 1e-9, "{seed}: nothing is better than the best");
            better += usize::from(wide.log_probability > narrow.log_probability + 1e-9);
            if (wide.log_probability - log).abs() < 1e-9 {
                assert_eq!(wide.tokens, tokens, "{seed}");
            }
        }
    }
    assert!(better >= 3, "{better}");
}

#[test]
fn imposed_outputs_are_those_of_the_integers_on_both_sides() {
    let network = network::<f32>(Reset::After, 4);
    let checkpoint = checkpoint(&network);
    let ranges = [Range { input: 1.0, output: 2.0 }; 7];
    let batch = batch::<f32>(4, 11);
    let imposed = integer_outputs(&checkpoint, &ranges, &batch).unwrap();

    let float = grulet_trainer::export::export(&checkpoint).unwrap();
    let blob = Float::new(&float).unwrap().quantize(&ranges).unwrap();
    let model = AnySeq2Seq::<Int8>::from_blob(&blob).unwrap();
    let fed = batch.decoder.as_ref().unwrap();
    for row in 0..11 {
        let mut encoder = model.heap_encoder();
        for t in 0..batch.lengths[row] {
            encoder.step(&[batch.x[t * 11 + row]]).unwrap();
        }
        // The last GRU's states, in Q15.
        let (state, t) = (encoder.state()[4..].to_vec(), batch.lengths[row] - 1);
        let states: Vec<f32> = state.iter().map(|&h| f32::from(h) / 32_768.0).collect();
        assert_eq!(states, imposed[2][(t * 11 + row) * 2..][..2], "series {row}");
        let mut decoder = model.heap_decoder(&encoder).unwrap();
        for t in 0..fed.lengths[row] {
            let scores = decoder.step(fed.x[t * 11 + row] as u16).unwrap();
            assert_eq!(scores, &imposed[6][(t * 11 + row) * 6..][..6], "series {row}, token {t}");
        }
    }
    // With them, the gradient is another; without any, the trainer's own.
    let mut trainer = Trainer::new(network, Loss::SparseCategoricalCrossEntropy, 2).unwrap();
    trainer.gradient(&batch).unwrap();
    let own = trainer.gradients().to_vec();
    trainer.gradient_with(&batch, &imposed).unwrap();
    assert!(trainer.gradients().iter().all(|g| g.is_finite()) && trainer.gradients() != own);
    assert!(trainer.gradient_with(&batch, &imposed[1..]).is_err());
}
