//! Examples in a seeded order, gathered time-major with seeded noise.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

use grulet::spec::Output;

use super::Dataset;
use crate::nn::Batch;

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
    order: Vec<usize>,
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
        Batches { data, batch_size, seed: 0, shuffle: false, noise: 0.0, epoch: 0, order }
    }

    /// For training: a new order in every epoch if `shuffle`, and Gaussian noise of standard deviation `noise` on the
    /// inputs, both from `seed`. Starts at epoch 0.
    #[must_use]
    pub fn with_randomness(mut self, seed: u64, shuffle: bool, noise: f32) -> Self {
        (self.seed, self.shuffle, self.noise) = (seed, shuffle, noise);
        self.start_epoch(0);
        self
    }

    /// Batches per epoch.
    pub fn count(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Goes to the given epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.order = (0..self.data.series.len()).collect();
        if self.shuffle {
            shuffle(&mut self.order, &mut stream(Purpose::Order, self.seed, epoch, 0));
        }
    }

    /// Which series of the dataset batch `index` of the epoch holds, `(B)`.
    ///
    /// # Panics
    /// If `index` is not below [`Batches::count`].
    pub fn examples(&self, index: usize) -> &[usize] {
        assert!(index < self.count(), "batch {index} of {}", self.count());
        let first = index * self.batch_size;
        &self.order[first..self.order.len().min(first + self.batch_size)]
    }

    /// Gathers batch `index` of the epoch into `batch`, whose memory is used again: inputs `(T, B, C)` and targets
    /// `(T, B, D)` or `(B, D)`, both 0 behind the end of a shorter example.
    ///
    /// # Panics
    /// If `index` is not below [`Batches::count`].
    pub fn gather(&self, index: usize, batch: &mut Batch<f32>) {
        let examples = self.examples(index);
        let (c, d) = (self.data.inputs(), self.data.target_width);
        let b = examples.len();
        batch.lengths.clear();
        batch.lengths.extend(examples.iter().map(|&example| self.data.steps(example)));
        batch.steps = batch.lengths.iter().copied().max().unwrap_or(0);
        clear_to(&mut batch.x, batch.steps * b * c);
        let per_step = self.data.output == Output::EveryStep;
        clear_to(&mut batch.targets, if per_step { batch.steps * b * d } else { b * d });
        for (position, &example) in examples.iter().enumerate() {
            let series = &self.data.series[example];
            for (t, row) in series.x.chunks_exact(c).enumerate() {
                batch.x[(t * b + position) * c..][..c].copy_from_slice(row);
            }
            if self.noise > 0.0 {
                let mut noise = Gaussian::new(stream(Purpose::Noise, self.seed, self.epoch, example as u64));
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
            for (t, row) in series.targets.chunks_exact(d).enumerate() {
                batch.targets[(t * b + position) * d..][..d].copy_from_slice(row);
            }
        }
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
}

/// The stream of random numbers for one purpose: PCG-XSH-RR 64/32 (O'Neill 2014), whose output is fixed for good.
pub(super) fn stream(purpose: Purpose, seed: u64, epoch: u64, example: u64) -> Pcg32 {
    // Neighbouring states and streams of a PCG are correlated, so every word is mixed first.
    let key = [seed, epoch, example].into_iter().fold(purpose as u64, |key, word| split_mix(key ^ split_mix(word)));
    Pcg32::new(key, split_mix(key))
}

/// One output of SplitMix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit over all.
const fn split_mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fisher–Yates, written out because a library's shuffle may change with its version.
pub(super) fn shuffle(items: &mut [usize], random: &mut Pcg32) {
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
                Output::LastStep => vec![index as f32],
            };
            let x = (0..steps).flat_map(|t| [value(t, 0), value(t, 1)]).collect();
            Series { name: index.to_string(), group: None, start: 0, x, targets }
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
