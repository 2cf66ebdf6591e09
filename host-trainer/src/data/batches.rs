//! Examples in a seeded order, gathered time-major with seeded noise.

use std::collections::BTreeMap;
use std::ops::Range;

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

use grulet::spec::{Decoding, Output};

use super::Dataset;
use super::lanes::Lanes;
use crate::nn::{Batch, argmax, split_mix};

/// The minibatches of one epoch after another.
///
/// Order and noise are functions of the seed, the epoch and the example alone, neither of earlier epochs nor of the
/// batch an example falls into: training can go on at any epoch, and batches may be gathered on any thread.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    data: &'a Dataset,
    batch_size: usize,
    seed: u64,
    shuffle: bool,
    noise: f32,
    epoch: u64,
    ignored: usize,
    /// Weight of each class, or none.
    class_weights: Vec<f32>,
    oversample: bool,
    order: Vec<usize>,
    /// Steps of a chunk, and which chunks are in which batch, where the state is kept.
    chunks: Option<(usize, Lanes)>,
}

impl<'a> Batches<'a> {
    /// Batches of `batch_size` examples (the last one of an epoch may be smaller) in the order of the dataset, without
    /// noise.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn new(data: &'a Dataset, batch_size: usize) -> Self {
        assert!(batch_size > 0, "a batch holds at least one example");
        let order = (0..data.series.len()).collect();
        Batches {
            data,
            batch_size,
            seed: 0,
            shuffle: false,
            noise: 0.0,
            epoch: 0,
            ignored: 0,
            class_weights: Vec::new(),
            oversample: false,
            order,
            chunks: None,
        }
    }

    /// For training: a new order in every epoch if `shuffle`, and Gaussian noise of standard deviation `noise` on the
    /// inputs, both from `seed`. Starts at epoch 0.
    #[must_use]
    pub fn with_randomness(mut self, seed: u64, shuffle: bool, noise: f32) -> Self {
        (self.seed, self.shuffle, self.noise) = (seed, shuffle, noise);
        self.start_epoch(0);
        self
    }

    /// The first `steps` of each example count in neither loss nor metrics.
    #[must_use]
    pub fn ignoring(mut self, steps: usize) -> Self {
        self.ignored = steps;
        self
    }

    /// For training: each target's loss counts as its class says, times its own weight. `weights` has one for each class.
    #[must_use]
    pub fn with_class_weights(mut self, weights: Vec<f32>) -> Self {
        self.class_weights = weights;
        self
    }

    /// For training: examples of rare classes are shown again in the same epoch, so that all classes come equally often. Of a
    /// class that does not go into the largest a whole number of times, the seed chooses who is shown once more.
    #[must_use]
    pub fn with_oversampling(mut self) -> Self {
        self.oversample = true;
        self.start_epoch(0);
        self
    }

    /// In chunks of so many steps, which come one after the other: the rows of a batch go on from rows of the batch before,
    /// see [`Batches::before`]. Steps to ignore are those at the start of the series.
    ///
    /// # Panics
    /// If `chunk` is 0.
    #[must_use]
    pub fn in_chunks(mut self, chunk: usize) -> Self {
        self.chunks = Some((chunk, self.deal(chunk)));
        self
    }

    fn deal(&self, chunk: usize) -> Lanes {
        let steps: Vec<usize> = (0..self.data.series.len()).map(|series| self.data.steps(series)).collect();
        Lanes::deal(&steps, &self.order, self.batch_size, chunk)
    }

    /// Batches per epoch, the same in all epochs.
    pub fn count(&self) -> usize {
        match &self.chunks {
            Some((_, lanes)) => lanes.count(),
            None => self.order.len().div_ceil(self.batch_size),
        }
    }

    /// Goes to the given epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.order = (0..self.data.series.len()).collect();
        if self.oversample {
            self.show_rare_classes_again();
        }
        if self.shuffle {
            shuffle(&mut self.order, &mut stream(Purpose::Order, self.seed, epoch, 0));
        }
        if let Some((chunk, _)) = self.chunks {
            self.chunks = Some((chunk, self.deal(chunk)));
        }
    }

    fn show_rare_classes_again(&mut self) {
        let mut of_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, series) in self.data.series.iter().enumerate() {
            of_class.entry(class_of(&series.targets)).or_default().push(index);
        }
        let largest = of_class.values().map(Vec::len).max().unwrap_or(0);
        for (class, mut examples) in of_class {
            let missing = largest - examples.len();
            for _ in 0..missing / examples.len() {
                self.order.extend_from_slice(&examples);
            }
            shuffle(&mut examples, &mut stream(Purpose::Oversample, self.seed, self.epoch, class as u64));
            self.order.extend_from_slice(&examples[..missing % examples.len()]);
        }
    }

    /// Which series of the dataset batch `index` of the epoch holds, `(B)`.
    ///
    /// # Panics
    /// If `index` is not below [`Batches::count`].
    pub fn examples(&self, index: usize) -> &[usize] {
        assert!(index < self.count(), "batch {index} of {}", self.count());
        if let Some((_, lanes)) = &self.chunks {
            return lanes.series(index);
        }
        let first = index * self.batch_size;
        &self.order[first..self.order.len().min(first + self.batch_size)]
    }

    /// What the decoder takes: the start token, and then the tokens that it should have given, but the last. Returns the
    /// steps of the longest.
    fn gather_decoder(&self, decoding: Decoding, examples: &[usize], batch: &mut Batch<f32>) -> usize {
        let decoder = batch.decoder.get_or_insert_default();
        let b = examples.len();
        let targets = |example: &usize| &self.data.series[*example].targets;
        decoder.lengths.clear();
        decoder.lengths.extend(examples.iter().map(|example| targets(example).len()));
        decoder.steps = decoder.lengths.iter().copied().max().unwrap_or(0);
        clear_to(&mut decoder.x, decoder.steps * b);
        for (position, example) in examples.iter().enumerate() {
            decoder.x[position] = decoding.start.into();
            for (t, pair) in targets(example).windows(2).enumerate() {
                decoder.x[(t + 1) * b + position] = pair[0];
            }
        }
        decoder.steps
    }

    /// The row of the batch before whose last state is the first one of each row of batch `index`, `(B)`, and none for zeros;
    /// nothing where all states begin at zero.
    ///
    /// # Panics
    /// If `index` is not below [`Batches::count`].
    pub fn before(&self, index: usize) -> Option<Vec<Option<usize>>> {
        self.chunks.as_ref().map(|(_, lanes)| lanes.before(index))
    }

    /// Which steps of each series batch `index` holds, `(B)`.
    fn steps(&self, index: usize) -> Vec<Range<usize>> {
        let steps = self.examples(index).iter().map(|&example| self.data.steps(example));
        match &self.chunks {
            Some((chunk, lanes)) => {
                steps.zip(lanes.from(index)).map(|(steps, &from)| from..steps.min(from + chunk)).collect()
            }
            None => steps.map(|steps| 0..steps).collect(),
        }
    }

    /// Gathers batch `index` of the epoch into `batch`, whose memory is used again: inputs `(T, B, C)` and targets
    /// `(T, B, D)` or `(B, D)`, both 0 behind the end of a shorter example. Of sequences to sequences the targets' T is the
    /// decoder's, whose inputs are gathered too. The states before it are not looked at.
    ///
    /// # Panics
    /// If `index` is not below [`Batches::count`].
    pub fn gather(&self, index: usize, batch: &mut Batch<f32>) {
        let examples = self.examples(index);
        let (c, d) = (self.data.inputs(), self.data.target_width);
        let b = examples.len();
        let stretches = self.steps(index);
        batch.lengths.clear();
        batch.lengths.extend(stretches.iter().map(Range::len));
        batch.ignored = self.ignored;
        batch.ignored_each.clear();
        if self.chunks.is_some() {
            batch.ignored_each.extend(stretches.iter().map(|steps| self.ignored.saturating_sub(steps.start)));
        }
        batch.steps = batch.lengths.iter().copied().max().unwrap_or(0);
        clear_to(&mut batch.x, batch.steps * b * c);
        let answers = match self.data.output {
            Output::EveryStep => batch.steps,
            Output::LastStep => 1,
            Output::Sequence(decoding) => self.gather_decoder(decoding, examples, batch),
        };
        clear_to(&mut batch.targets, answers * b * d);
        let weighted = self.data.series.first().is_some_and(|series| !series.weights.is_empty());
        let sites = if weighted || !self.class_weights.is_empty() { batch.targets.len() / d.max(1) } else { 0 };
        clear_to(&mut batch.weights, sites);
        for (position, (&example, steps)) in examples.iter().zip(stretches).enumerate() {
            let series = &self.data.series[example];
            for (t, row) in series.x[steps.start * c..steps.end * c].chunks_exact(c).enumerate() {
                batch.x[(t * b + position) * c..][..c].copy_from_slice(row);
            }
            if self.noise > 0.0 {
                // Each chunk has a stream of its own; there are neither so many examples nor so many steps.
                let place = example as u64 | (steps.start as u64) << 32;
                let mut noise = Gaussian::new(stream(Purpose::Noise, self.seed, self.epoch, place));
                for t in 0..batch.lengths[position] {
                    for x in &mut batch.x[(t * b + position) * c..][..c] {
                        *x += self.noise * noise.next();
                    }
                }
            }
            if d == 0 {
                continue;
            }
            // A target per sequence is one row, at t = 0.
            let rows = match self.data.output {
                Output::EveryStep => steps,
                Output::LastStep => 0..1,
                Output::Sequence(_) => 0..series.targets.len(),
            };
            let weights = series.weights.get(rows.clone()).unwrap_or(&[]);
            for (t, row) in series.targets[rows.start * d..rows.end * d].chunks_exact(d).enumerate() {
                batch.targets[(t * b + position) * d..][..d].copy_from_slice(row);
                if sites > 0 {
                    let of_class = if self.class_weights.is_empty() { 1.0 } else { self.class_weights[class_of(row)] };
                    batch.weights[t * b + position] = of_class * weights.get(t).unwrap_or(&1.0);
                }
            }
        }
    }
}

/// For each class `N / (K·n)`, with n of N targets of it and K classes that occur: all classes together count alike. A class
/// that does not occur has 1. Of targets at every step, the first `ignored` of each series do not count, and none without weight.
pub fn balanced_weights(data: &Dataset, ignored: usize) -> Vec<f32> {
    // Where classes have no names, there are no and yes.
    let mut counts: Vec<usize> = vec![0; data.classes.len().max(2)];
    for target in data.counted_targets(ignored) {
        let class = class_of(target);
        counts.resize(counts.len().max(class + 1), 0);
        counts[class] += 1;
    }
    let (all, present) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&count| count > 0).count());
    let weight = |&count: &usize| if count == 0 { 1.0 } else { all as f32 / (present * count) as f32 };
    counts.iter().map(weight).collect()
}

/// The class that a target names: its number, of a probability of yes 1 above a half, or the place of the largest probability.
pub(super) fn class_of(target: &[f32]) -> usize {
    match target {
        &[class] => (class - 0.5).ceil() as usize,
        _ => argmax(target),
    }
}

fn clear_to(buffer: &mut Vec<f32>, len: usize) {
    buffer.clear();
    buffer.resize(len, 0.0);
}

/// What random numbers are for; different purposes never share a stream.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Order = 1,
    Noise = 2,
    Split = 3,
    Oversample = 4,
}

/// The stream of random numbers for one purpose: PCG-XSH-RR 64/32 (O'Neill 2014), whose output is fixed for good.
pub(super) fn stream(purpose: Purpose, seed: u64, epoch: u64, example: u64) -> Pcg32 {
    // Neighbouring states and streams of a PCG are correlated, so every word is mixed first.
    let key = [seed, epoch, example].into_iter().fold(purpose as u64, |key, word| split_mix(key ^ split_mix(word)));
    Pcg32::new(key, split_mix(key))
}

/// Fisher–Yates, written out because a library's shuffle may change with its version.
pub(super) fn shuffle<T>(items: &mut [T], random: &mut Pcg32) {
    for last in (1..items.len()).rev() {
        // 64 random bits modulo n: biased by less than n / 2^64.
        let other = random.next_u64() % (last as u64 + 1);
        items.swap(last, other as usize);
    }
}

/// Standard normal numbers by Box and Muller (1958).
struct Gaussian {
    random: Pcg32,
    second: Option<f32>,
}

impl Gaussian {
    fn new(random: Pcg32) -> Self {
        Gaussian { random, second: None }
    }

    fn next(&mut self) -> f32 {
        if let Some(second) = self.second.take() {
            return second;
        }
        // 24 bits, the first moved by half a unit so that its logarithm is finite: |value| < 5.9.
        const UNIT: f32 = 1.0 / (1 << 24) as f32;
        let u = ((self.random.next_u32() >> 8) as f32 + 0.5) * UNIT;
        let v = (self.random.next_u32() >> 8) as f32 * UNIT;
        let radius = libm::sqrtf(-2.0 * libm::logf(u));
        let (sin, cos) = libm::sincosf(std::f32::consts::TAU * v);
        self.second = Some(radius * sin);
        radius * cos
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Series;

    /// Series of 3, 4, …, 2 + `count` steps whose values tell series, step and channel apart.
    fn dataset(count: usize, output: Output) -> Dataset {
        let series = |index: usize| {
            let steps = index + 3;
            let value = |t: usize, c: usize| (100 * index + 10 * t + c) as f32;
            let targets = match output {
                Output::EveryStep => (0..steps).map(|t| value(t, 5)).collect(),
                Output::LastStep | Output::Sequence(_) => vec![index as f32],
            };
            let x = (0..steps).flat_map(|t| [value(t, 0), value(t, 1)]).collect();
            Series { name: index.to_string(), group: None, start: 0, x, targets, weights: vec![] }
        };
        Dataset {
            series: (0..count).map(series).collect(),
            channels: vec!["a".into(), "b".into()],
            units: vec![String::new(); 2],
            classes: Vec::new(),
            sample_rate: None,
            output,
            target_width: 1,
        }
    }

    #[test]
    fn gathers_time_major_and_pads_with_zeros() {
        let data = dataset(3, Output::EveryStep);
        let batches = Batches::new(&data, 2);
        assert_eq!(batches.count(), 2);
        // Stale contents must not shine through.
        let mut batch = Batch { x: vec![7.0; 99], targets: vec![7.0; 99], ..Batch::default() };
        batches.gather(0, &mut batch);
        assert_eq!((batches.examples(0), batch.steps, &batch.lengths[..]), (&[0, 1][..], 4, &[3, 4][..]));
        #[rustfmt::skip]
        assert_eq!(batch.x, [
            0.0, 1.0, 100.0, 101.0,
            10.0, 11.0, 110.0, 111.0,
            20.0, 21.0, 120.0, 121.0,
            0.0, 0.0, 130.0, 131.0,
        ]);
        assert_eq!(batch.targets, [5.0, 105.0, 15.0, 115.0, 25.0, 125.0, 0.0, 135.0]);
        batches.gather(1, &mut batch);
        assert_eq!((batches.examples(1), batch.steps, &batch.lengths[..]), (&[2][..], 5, &[5][..]));

        let data = dataset(3, Output::LastStep);
        Batches::new(&data, 2).gather(0, &mut batch);
        assert_eq!(batch.targets, [0.0, 1.0]);
    }

    #[test]
    fn every_epoch_shows_every_example_once_in_an_order_of_its_own() {
        let data = dataset(50, Output::LastStep);
        let mut batches = Batches::new(&data, 8).with_randomness(7, true, 0.0);
        let order = |batches: &Batches| {
            (0..batches.count()).flat_map(|index| batches.examples(index).to_vec()).collect::<Vec<_>>()
        };
        let first = order(&batches);
        batches.start_epoch(1);
        let second = order(&batches);
        assert_ne!(first, second);
        for order in [&first, &second] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        batches.start_epoch(0);
        assert_eq!(order(&batches), first, "an epoch's order does not depend on the epochs before it");
        assert_ne!(order(&Batches::new(&data, 8).with_randomness(8, true, 0.0)), first, "the seed counts");
    }

    /// A dataset in which class 0 has 6 examples, class 1 none, class 2 has 4 and class 3 one.
    fn unequal(one_hot: bool) -> Dataset {
        let mut data = dataset(11, Output::LastStep);
        data.classes = ["a", "b", "c", "d"].map(String::from).to_vec();
        for (index, series) in data.series.iter_mut().enumerate() {
            let class = [0, 2, 0, 2, 3, 0, 0, 2, 0, 2, 0][index];
            series.targets =
                if one_hot { (0..4).map(|c| f32::from(u8::from(c == class))).collect() } else { vec![class as f32] };
        }
        data.target_width = if one_hot { 4 } else { 1 };
        data
    }

    #[test]
    fn rare_classes_are_shown_as_often_as_the_largest() {
        for one_hot in [false, true] {
            let data = unequal(one_hot);
            let mut batches = Batches::new(&data, 5).with_randomness(7, true, 0.0).with_oversampling();
            let mut epochs = Vec::new();
            for epoch in 0..2 {
                batches.start_epoch(epoch);
                let shown: Vec<usize> =
                    (0..batches.count()).flat_map(|index| batches.examples(index).to_vec()).collect();
                let of_class = |class| shown.iter().filter(|&&i| class_of(&data.series[i].targets) == class).count();
                assert_eq!([0, 1, 2, 3].map(of_class), [6, 0, 6, 6]);
                let times = |i| shown.iter().filter(|&&shown| shown == i).count();
                assert!((0..11).all(|i| times(i) >= 1) && [1, 3, 7, 9].iter().all(|&i| times(i) <= 2));
                epochs.push(shown);
            }
            assert_ne!(epochs[0], epochs[1]);
        }
    }

    #[test]
    fn balanced_weights_make_all_classes_count_alike() {
        for one_hot in [false, true] {
            // A target for each series counts, however much of the series is ignored.
            assert_eq!(balanced_weights(&unequal(one_hot), 9), [11.0 / 18.0, 1.0, 11.0 / 12.0, 11.0 / 3.0]);
        }
        let mut data = dataset(2, Output::EveryStep);
        data.series[0].targets = vec![1.0, 1.0, 0.0];
        data.series[1].targets = vec![1.0, 1.0, 0.0, 1.0];
        assert_eq!(balanced_weights(&data, 0), [7.0 / 4.0, 7.0 / 10.0]);
        assert_eq!(balanced_weights(&data, 2), [3.0 / 4.0, 3.0 / 2.0]);
        // A class that counts nowhere has a weight too, for the targets that do not count; classes of numbers have no names.
        data.classes.clear();
        data.series.iter_mut().for_each(|series| series.targets[2..].fill(0.0));
        assert_eq!(balanced_weights(&data, 2), [1.0, 1.0]);
    }

    #[test]
    fn a_probability_is_of_the_class_that_is_more_likely() {
        let classes = [0.0, 0.1, 0.5, 0.51, 0.9, 1.0, 2.0, 65534.0].map(|target| class_of(&[target]));
        assert_eq!(classes, [0, 0, 0, 1, 1, 1, 2, 65534]);
        assert_eq!(class_of(&[0.2, 0.5, 0.3]), 1);
    }

    #[test]
    fn a_target_weighs_what_its_class_does() {
        let weights = vec![0.5, 1.0, 2.0, 4.0];
        for one_hot in [false, true] {
            let data = unequal(one_hot);
            let mut batch = Batch::default();
            Batches::new(&data, 5).with_class_weights(weights.clone()).gather(0, &mut batch);
            assert_eq!(batch.weights, [0.5, 2.0, 0.5, 2.0, 4.0]);
            Batches::new(&data, 5).gather(0, &mut batch);
            assert!(batch.weights.is_empty());
        }
        // At every step; the padding weighs nothing.
        let mut data = dataset(2, Output::EveryStep);
        data.series[0].targets = vec![0.0, 1.0, 1.0];
        data.series[1].targets = vec![1.0, 1.0, 0.0, 0.0];
        let mut batch = Batch::default();
        Batches::new(&data, 2).with_class_weights(vec![3.0, 5.0]).gather(0, &mut batch);
        assert_eq!(batch.weights, [3.0, 5.0, 5.0, 5.0, 5.0, 3.0, 0.0, 3.0]);
    }

    #[test]
    fn the_streams_are_pinned() {
        let mut items: Vec<usize> = (0..10).collect();
        shuffle(&mut items, &mut stream(Purpose::Order, 7, 3, 0));
        assert_eq!(items, PINNED_ORDER);
        let mut noise = Gaussian::new(stream(Purpose::Noise, 7, 3, 5));
        assert_eq!([(); 4].map(|()| noise.next().to_bits()), PINNED_NOISE);
    }

    // Runs that name a seed promise their result: a change here breaks that promise.
    const PINNED_ORDER: [usize; 10] = [1, 0, 5, 3, 7, 4, 6, 8, 2, 9];
    const PINNED_NOISE: [u32; 4] = [3220038046, 3209443476, 3201244699, 3207762289];

    #[test]
    fn noise_is_gaussian_and_belongs_to_the_example() {
        let data = dataset(40, Output::EveryStep);
        let noise_of = |batch_size: usize, epoch: u64, example: usize| {
            let mut batches = Batches::new(&data, batch_size).with_randomness(3, true, 0.5);
            batches.start_epoch(epoch);
            let mut batch = Batch::default();
            for index in 0..batches.count() {
                if let Some(b) = batches.examples(index).iter().position(|&shown| shown == example) {
                    batches.gather(index, &mut batch);
                    let row = |t: usize| &batch.x[(t * batch.rows() + b) * 2..][..2];
                    return (0..batch.lengths[b]).flat_map(row).copied().collect::<Vec<f32>>();
                }
            }
            panic!("example {example} was not shown");
        };
        assert_eq!(noise_of(4, 2, 9), noise_of(7, 2, 9), "the batch does not count");
        assert_ne!(noise_of(4, 2, 9), noise_of(4, 3, 9), "the epoch does");

        let mut gaussian = Gaussian::new(stream(Purpose::Noise, 1, 2, 3));
        let n = 200_000;
        let sample: Vec<f64> = (0..n).map(|_| f64::from(gaussian.next())).collect();
        let moment = |power: i32| sample.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(n);
        // Five standard errors of each moment of a standard normal sample.
        let bound = |variance: f64| 5.0 * (variance / f64::from(n)).sqrt();
        assert!(moment(1).abs() < bound(1.0), "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < bound(2.0), "{}", moment(2));
        assert!(moment(3).abs() < bound(15.0), "{}", moment(3));
        assert!((moment(4) - 3.0).abs() < bound(96.0), "{}", moment(4));
    }

    #[test]
    fn padding_stays_free_of_noise() {
        let data = dataset(2, Output::EveryStep);
        let mut batch = Batch::default();
        Batches::new(&data, 2).with_randomness(1, false, 1.0).gather(0, &mut batch);
        assert_eq!(batch.x[3 * 4..3 * 4 + 2], [0.0, 0.0]);
    }
}
