//! Series in chunks, each of which goes on from the state of the one before.

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
use grulet_trainer::data::{Batches, Dataset, Series};
use grulet_trainer::nn::{Batch, Error, Loss, Network, Rng, Trainer};

/// Both kinds of GRU, with a layer between.
fn network() -> Network<f32> {
    let (gate, candidate) = (Gate::Sigmoid, Candidate::Tanh);
    let layers = [
        LayerSpec::Gru { inputs: 2, hidden: 5, reset: Reset::Before, gate, candidate },
        LayerSpec::Dense { inputs: 5, outputs: 3, activation: Activation::Tanh },
        LayerSpec::Gru { inputs: 3, hidden: 4, reset: Reset::After, gate, candidate },
        LayerSpec::Dense { inputs: 4, outputs: 2, activation: Activation::Linear },
    ];
    let mut network = Network::new(&layers, Output::EveryStep, 7).unwrap();
    let mut rng = Rng::new(7, 1000);
    network.params_mut().iter_mut().for_each(|param| *param += (0.4 * rng.uniform() - 0.2) as f32);
    network
}

fn trainer(threads: usize) -> Trainer<f32> {
    Trainer::new(network(), Loss::MeanSquaredError, threads).unwrap()
}

/// Series of 1 to 13 steps; three shards of them.
fn dataset() -> Dataset {
    let mut rng = Rng::new(3, 3);
    let mut draw = |count| (0..count).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let mut series = |index: usize| {
        let steps = 1 + (5 * index) % 13;
        let (x, targets) = (draw(2 * steps), draw(2 * steps));
        Series { name: index.to_string(), group: None, start: 0, x, targets, weights: vec![] }
    };
    Dataset {
        series: (0..21).map(&mut series).collect(),
        channels: vec!["a".into(), "b".into()],
        units: vec![String::new(); 2],
        classes: vec![],
        sample_rate: None,
        output: Output::EveryStep,
        target_width: 2,
    }
}

/// The bits of all outputs of each series, and the sum of all squares in the loss.
fn outputs(data: &Dataset, batches: &Batches<'_>, threads: usize) -> (Vec<Vec<u32>>, f64) {
    let mut trainer = trainer(threads);
    let mut all = vec![Vec::new(); data.series.len()];
    let (mut batch, mut squares) = (Batch::default(), 0.0);
    for index in 0..batches.count() {
        batches.gather(index, &mut batch);
        batch.state = batches.before(index).map_or_else(Vec::new, |rows| trainer.states(&rows));
        let rows = batch.rows();
        if batch.counts() {
            let counted: usize = (0..rows).map(|row| batch.lengths[row].saturating_sub(batch.ignored(row))).sum();
            squares += trainer.evaluate(&batch).unwrap().loss() * counted as f64;
        }
        let outputs = trainer.forward(&batch).unwrap();
        for (row, &series) in batches.examples(index).iter().enumerate() {
            for t in 0..batch.lengths[row] {
                all[series].extend(outputs[(t * rows + row) * 2..][..2].iter().map(|value| value.to_bits()));
            }
        }
    }
    (all, squares)
}

#[test]
fn chunks_give_the_bits_of_whole_series() {
    let data = dataset();
    let (whole, loss) = outputs(&data, &Batches::new(&data, 21), 1);
    assert!((0..21).all(|series| whole[series].len() == 2 * data.steps(series)));
    for (lanes, chunk, threads) in [(9, 3, 1), (9, 3, 3), (2, 5, 1), (21, 1, 2), (30, 100, 1)] {
        let batches = Batches::new(&data, lanes).with_randomness(5, true, 0.0).in_chunks(chunk);
        let (chunked, of_chunks) = outputs(&data, &batches, threads);
        assert!(chunked == whole, "{lanes} lanes of {chunk} steps");
        assert!((of_chunks - loss).abs() < 1e-5 * loss, "{of_chunks} but {loss}");
    }
}

#[test]
fn steps_are_ignored_at_the_start_of_series_not_of_chunks() {
    let data = dataset();
    let (_, loss) = outputs(&data, &Batches::new(&data, 21).ignoring(4), 1);
    let (_, all) = outputs(&data, &Batches::new(&data, 21), 1);
    for chunk in [2, 3, 4, 7] {
        let (_, of_chunks) = outputs(&data, &Batches::new(&data, 9).ignoring(4).in_chunks(chunk), 1);
        assert!((of_chunks - loss).abs() < 1e-5 * loss && loss < 0.9 * all, "{chunk}: {of_chunks} but {loss} of {all}");
    }
    let mut batch = Batch { ignored_each: vec![1; 2], ..Batch::default() };
    Batches::new(&data, 3).gather(0, &mut batch);
    assert!(batch.ignored_each.is_empty(), "what a batch before has left");
    batch.ignored_each = vec![1; 2];
    let error = trainer(1).evaluate(&batch).unwrap_err();
    assert!(matches!(error, Error::BatchShape { array: "ignored steps", expected: 3, found: 2, .. }), "{error}");
}

#[test]
fn every_epoch_has_an_order_of_its_own_and_as_many_batches() {
    let data = dataset();
    let mut batches = Batches::new(&data, 4).with_randomness(5, true, 0.3).in_chunks(3);
    let order = |batches: &Batches<'_>| -> Vec<Vec<usize>> {
        (0..batches.count()).map(|index| batches.examples(index).to_vec()).collect()
    };
    let noise = |batches: &Batches<'_>| {
        let mut batch = Batch::default();
        // The first two chunks of series 2, which has 11 steps.
        let index = (0..batches.count()).find(|&index| batches.examples(index).contains(&2)).unwrap();
        let row = batches.examples(index).iter().position(|&series| series == 2).unwrap();
        batches.gather(index, &mut batch);
        let first: Vec<f32> = (0..3).map(|t| batch.x[(t * batch.rows() + row) * 2]).collect();
        batches.gather(index + 1, &mut batch);
        let row = batches.examples(index + 1).iter().position(|&series| series == 2).unwrap();
        let second: Vec<f32> = (0..3).map(|t| batch.x[(t * batch.rows() + row) * 2]).collect();
        let own: Vec<f32> = data.series[2].x.iter().step_by(2).copied().collect();
        let of = |noisy: Vec<f32>, from: usize| noisy.iter().zip(&own[from..]).map(|(a, b)| a - b).collect::<Vec<_>>();
        [of(first, 0), of(second, 3)]
    };
    let (first, drawn) = (order(&batches), noise(&batches));
    assert!(drawn[0].iter().zip(&drawn[1]).all(|(a, b)| (a - b).abs() > 1e-6), "other noise in each chunk: {drawn:?}");
    batches.start_epoch(1);
    assert_eq!(order(&batches).len(), first.len());
    assert_ne!(order(&batches), first);
    batches.start_epoch(0);
    assert_eq!((order(&batches), noise(&batches)), (first, drawn));
}

#[test]
fn states_are_those_after_the_last_step_of_each_series() {
    let data = dataset();
    let (mut trainer, mut batch) = (trainer(1), Batch::default());
    Batches::new(&data, 21).gather(0, &mut batch);
    trainer.forward(&batch).unwrap();
    let rows: Vec<Option<usize>> = (0..21).map(Some).chain([None]).collect();
    let states = trainer.states(&rows);
    assert_eq!((states.len(), &states[21 * 9..]), (22 * 9, &[0.0; 9][..]));
    for (series, state) in states.chunks_exact(9).take(21).enumerate() {
        Batches::new(&data, 1).gather(series, &mut batch);
        trainer.forward(&batch).unwrap();
        assert_eq!(trainer.states(&[Some(0)]), state, "series {series}");
    }
}
