//! Gradients of whole batches, on several threads, with the same bits for any number of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use super::aligned::Aligned;
use super::batch::check_len;
use super::loss::sign;
use super::plan::Plan;
use super::regularize::Draw;
use super::shard::{Job, SHARD_ROWS, Shard, Task, Worker};
use super::simd::{Isa, Kernel, dispatch};
use super::{Batch, Error, Loss, Metrics, Network, Real, Regularization};

/// A network with what its training needs: a loss, gradients, buffers and threads.
///
/// A batch is cut into shards of eight series. Each shard has gradients of its own, which are summed in the order of the
/// shards: threads change the time that it takes and nothing else.
///
/// ```
/// use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
/// use grulet_trainer::nn::{Batch, Epsilon, Loss, Network, Optimizer, Rule, Trainer, clip_by_norm};
///
/// let gru =
///     LayerSpec::Gru { inputs: 1, hidden: 4, reset: Reset::Before, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
/// let dense = LayerSpec::Dense { inputs: 4, outputs: 1, activation: Activation::Linear };
/// let network = Network::<f32>::new(&[gru, dense], Output::LastStep, 7)?;
/// let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1)?;
/// let mut optimizer = Optimizer::new(trainer.network().params().len(), Rule::Adam(Epsilon::Keras));
///
/// // Two series, the second one step shorter; the target is their first value.
/// let batch = Batch {
///     steps: 3,
///     lengths: vec![3, 2],
///     x: vec![0.5, -0.5, 0.1, 0.2, 0.3, f32::NAN],
///     targets: vec![0.5, -0.5],
///     ..Batch::default()
/// };
/// let before = trainer.evaluate(&batch)?.loss();
/// for _ in 0..200 {
///     trainer.gradient(&batch)?;
///     let (params, gradients) = trainer.params_and_gradients();
///     clip_by_norm(gradients, 1.0);
///     optimizer.step(params, gradients, 0.01);
/// }
/// assert!(trainer.evaluate(&batch)?.loss() < 0.01 * before);
/// # Ok::<(), grulet_trainer::nn::Error>(())
/// ```
#[derive(Debug)]
pub struct Trainer<R> {
    network: Network<R>,
    loss: Loss,
    plan: Plan,
    packed: Aligned<R>,
    gradients: Vec<R>,
    metrics: Metrics,
    want_d_x: bool,
    regularization: Regularization,
    /// Number of the next batch that a gradient is taken of.
    batch: u64,
    workers: Vec<Worker<R>>,
    shards: Vec<Mutex<Shard<R>>>,
    /// The gradients of the shard that one thread is at.
    spare: Vec<R>,
    /// None for one thread, which is the caller's.
    pool: Option<rayon::ThreadPool>,
    /// Steps and lengths of the batch that the shards hold.
    last: (usize, Vec<usize>),
}

impl<R: Real> Trainer<R> {
    /// Prepares `network` to be trained with `loss` on so many threads.
    ///
    /// # Errors
    /// Where the loss does not fit the last layer, or where there are no threads.
    pub fn new(network: Network<R>, loss: Loss, threads: usize) -> Result<Self, Error> {
        loss.check(&network.layers()[network.layers().len() - 1])?;
        let pool = match threads {
            0 => return Err(Error::NoThreads),
            1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .map_err(|error| Error::ThreadPool { threads, reason: error.to_string() })?,
            ),
        };
        let plan = Plan::new(&network);
        Ok(Self {
            packed: Aligned::default(),
            gradients: vec![R::ZERO; plan.params_len],
            workers: (0..threads).map(|_| Worker::new(&plan)).collect(),
            shards: Vec::new(),
            spare: Vec::new(),
            metrics: Metrics::default(),
            want_d_x: false,
            regularization: Regularization::default(),
            batch: 0,
            last: (0, Vec::new()),
            network,
            loss,
            plan,
            pool,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network<R> {
        &self.network
    }

    /// The network, to change its parameters.
    pub fn network_mut(&mut self) -> &mut Network<R> {
        &mut self.network
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// The gradients of the last [`Trainer::gradient`] or [`Trainer::pull_back`], in the order of the parameters.
    pub fn gradients(&self) -> &[R] {
        &self.gradients
    }

    /// Parameters and gradients, for an optimiser.
    pub fn params_and_gradients(&mut self) -> (&mut [R], &mut [R]) {
        (self.network.params_mut(), &mut self.gradients)
    }

    /// Takes gradients with dropout and smoothed labels from now on.
    ///
    /// # Errors
    /// Where a rate is none.
    pub fn regularize(&mut self, regularization: Regularization) -> Result<(), Error> {
        regularization.check()?;
        self.regularization = regularization;
        Ok(())
    }

    /// Says that the next gradient is of batch `number`, counted over all epochs: what is drawn for it follows from that.
    /// Without a call the numbers go up from 0.
    pub fn start_batch(&mut self, number: u64) {
        self.batch = number;
    }

    /// Adds to the gradients those of `l1·Σ|w| + l2·Σw²` over all kernels, as Keras's `kernel_regularizer` and
    /// `recurrent_regularizer` do; biases are free.
    pub fn penalize(&mut self, l1: f64, l2: f64) {
        let (l1, twice_l2) = (R::from_f64(l1), R::from_f64(2.0 * l2));
        for tensor in self.network.tensors().iter().filter(|tensor| tensor.name.ends_with("kernel")) {
            let params = &self.network.params()[tensor.range.clone()];
            for (gradient, &w) in self.gradients[tensor.range.clone()].iter_mut().zip(params) {
                *gradient += l1 * sign(w) + twice_l2 * w;
            }
        }
    }

    /// Whether gradients by the inputs and by the states before the first step are computed too, for [`Trainer::d_x`] and
    /// [`Trainer::d_state`].
    pub fn keep_d_x(&mut self, keep: bool) {
        self.want_d_x = keep;
    }

    /// The outputs of the network: (T, B, O) with zeros in the padding, or (B, O).
    ///
    /// # Errors
    /// Where the batch does not fit the network.
    pub fn forward(&mut self, batch: &Batch<R>) -> Result<Vec<R>, Error> {
        batch.check(self.plan.inputs(), self.plan.decoder_inputs(), self.plan.state_len)?;
        self.run(batch, Task::Forward);
        Ok(self.outputs())
    }

    /// Loss and metrics of a batch.
    ///
    /// # Errors
    /// Where the batch does not fit the network or its targets the loss.
    pub fn evaluate(&mut self, batch: &Batch<R>) -> Result<&Metrics, Error> {
        let scale = self.check_targets(batch)?;
        self.run(batch, Task::Evaluate { loss: self.loss, scale });
        Ok(self.sum_metrics())
    }

    /// Loss and metrics of a batch, and the gradient of the loss by all parameters.
    ///
    /// # Errors
    /// Where the batch does not fit the network or its targets the loss.
    pub fn gradient(&mut self, batch: &Batch<R>) -> Result<&Metrics, Error> {
        let scale = self.check_targets(batch)?;
        self.run(batch, Task::Gradient { loss: self.loss, scale });
        self.batch += 1;
        Ok(self.sum_metrics())
    }

    /// [`Trainer::gradient`] with each layer's outputs (T, B, O) replaced by those in `imposed`: those of other arithmetic,
    /// which the gradient passes as if it were this one (straight through; Bengio et al. 2013).
    ///
    /// A GRU goes on from the imposed states. Those of a bidirectional layer are the states of both directions (T, B, 2H), which
    /// are merged here. The loss is that of the imposed outputs; a classifier's is that of its last
    /// layer's own sums on the imposed inputs. What stands in the padding is not looked at.
    ///
    /// # Errors
    /// Where the batch does not fit the network, its targets the loss, or `imposed` the layers.
    pub fn gradient_with(&mut self, batch: &Batch<R>, imposed: &[Vec<R>]) -> Result<&Metrics, Error> {
        let scale = self.check_targets(batch)?;
        let layers = self.network.layers();
        check_len("imposed outputs", "(layers)", layers.len(), imposed.len())?;
        for (index, (layer, outputs)) in layers.iter().zip(imposed).enumerate() {
            let steps = if index < self.network.output().encoder() { batch.steps } else { batch.answered().0 };
            let expected = steps * batch.rows() * layer.observed();
            check_len("imposed outputs", "(steps, series, outputs of the layer)", expected, outputs.len())?;
        }
        self.run_with(batch, Task::Gradient { loss: self.loss, scale }, Some(imposed));
        self.batch += 1;
        Ok(self.sum_metrics())
    }

    /// The gradients that follow from `d_outputs`, those of the outputs, shaped as [`Trainer::forward`] gives them: how a
    /// network that feeds another one is trained.
    ///
    /// # Errors
    /// Where the batch or `d_outputs` does not fit the network.
    pub fn pull_back(&mut self, batch: &Batch<R>, d_outputs: &[R]) -> Result<(), Error> {
        batch.check(self.plan.inputs(), self.plan.decoder_inputs(), self.plan.state_len)?;
        let expected = self.plan.output_steps(batch.answered().0) * batch.rows() * self.plan.outputs();
        check_len("output gradients", "([steps,] series, outputs)", expected, d_outputs.len())?;
        self.run(batch, Task::Pullback { d_outputs });
        Ok(())
    }

    /// The outputs for the last batch, shaped as [`Trainer::forward`] gives them.
    pub fn outputs(&self) -> Vec<R> {
        let width = self.plan.outputs();
        self.gather(self.plan.output_steps(self.last.0), width, |shard| &shard.outputs)
    }

    /// The gradient by the inputs (T, B, C) of the last batch, if [`Trainer::keep_d_x`] was asked for. Not of an
    /// encoder-decoder, whose inputs have other lengths than its outputs.
    pub fn d_x(&self) -> Option<Vec<R>> {
        (self.want_d_x && self.plan.decoder_inputs().is_none())
            .then(|| self.gather(self.last.0, self.plan.inputs(), |shard| &shard.d_x))
    }

    /// The gradient by the state before the first step (B, S) of the last batch, laid out as [`Batch::state`], if
    /// [`Trainer::keep_d_x`] was asked for.
    pub fn d_state(&self) -> Option<Vec<R>> {
        if !self.want_d_x {
            return None;
        }
        let rows = self.last.1.len();
        let mut all = Vec::with_capacity(rows * self.plan.state_len);
        for (index, shard) in self.shards[..rows.div_ceil(SHARD_ROWS)].iter().enumerate() {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let rows = SHARD_ROWS.min(rows - index * SHARD_ROWS);
            (0..rows).for_each(|row| all.extend(shard.d_state_of(&self.plan, rows, row)));
        }
        Some(all)
    }

    /// The states after the last steps of these series of the last batch, and zeros for none (rows, S), laid out as
    /// [`Batch::state`].
    ///
    /// # Panics
    /// If there is no such series in it.
    pub fn states(&self, rows: &[Option<usize>]) -> Vec<R> {
        let width = self.plan.state_len;
        let mut all = vec![R::ZERO; rows.len() * width];
        for (state, row) in all.chunks_exact_mut(width.max(1)).zip(rows) {
            if let Some(row) = *row {
                assert!(row < self.last.1.len(), "series {row} of {}", self.last.1.len());
                let shard = self.shards[row / SHARD_ROWS].lock().unwrap_or_else(PoisonError::into_inner);
                state.copy_from_slice(&shard.states[row % SHARD_ROWS * width..][..width]);
            }
        }
        all
    }

    /// Puts values (steps, rows, width) of all shards together, with zeros in the padding.
    fn gather(&self, steps: usize, width: usize, values: impl Fn(&Shard<R>) -> &[R]) -> Vec<R> {
        let (_, lengths) = &self.last;
        let mut all = vec![R::ZERO; steps * lengths.len() * width];
        for (index, shard) in self.shards[..lengths.len().div_ceil(SHARD_ROWS)].iter().enumerate() {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let from = index * SHARD_ROWS;
            let rows = SHARD_ROWS.min(lengths.len() - from);
            for t in 0..steps.min(shard.steps) {
                for row in 0..rows {
                    // One output per series has no padding.
                    if steps == 1 || t < lengths[from + row] {
                        let value = &values(&shard)[(t * rows + row) * width..][..width];
                        all[(t * lengths.len() + from + row) * width..][..width].copy_from_slice(value);
                    }
                }
            }
        }
        all
    }

    /// Checks a batch with its targets; returns 1 / (elements that the mean loss is over).
    fn check_targets(&self, batch: &Batch<R>) -> Result<f64, Error> {
        batch.check(self.plan.inputs(), self.plan.decoder_inputs(), self.plan.state_len)?;
        let outputs = self.plan.outputs();
        let (rows, width) = (batch.rows(), self.loss.target_len(outputs));
        let (steps, lengths) = batch.answered();
        let steps = self.plan.output_steps(steps);
        check_len("targets", "([steps,] series, target)", steps * rows * width, batch.targets.len())?;
        let mut sites = 0;
        if !batch.weights.is_empty() {
            check_len("weights", "([steps,] series)", steps * rows, batch.weights.len())?;
        }
        for (site, target) in batch.targets.chunks_exact(width).enumerate() {
            let (step, row) = (site / rows, site % rows);
            if !self.plan.counts(step, lengths[row], batch.ignored(row)) {
                continue;
            }
            sites += 1;
            let weight = batch.weights.get(site).map_or(1.0, |weight| weight.to_f64());
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::Weight { row, step, found: weight });
            }
            for (element, value) in target.iter().enumerate() {
                if let Some(needs) = self.loss.refuses(value.to_f64(), outputs) {
                    return Err(Error::Target { row, step, element, found: value.to_f64(), loss: self.loss, needs });
                }
            }
        }
        if sites == 0 {
            return Err(Error::AllIgnored { ignored: batch.ignored });
        }
        Ok(1.0 / (sites * self.loss.elements(outputs)) as f64)
    }

    /// Computes all shards, and sums their gradients if the task takes some. Each thread takes the next shard that nobody
    /// has taken.
    fn run(&mut self, batch: &Batch<R>, task: Task<'_, R>) {
        self.run_with(batch, task, None);
    }

    fn run_with(&mut self, batch: &Batch<R>, task: Task<'_, R>, imposed: Option<&[Vec<R>]>) {
        let count = batch.rows().div_ceil(SHARD_ROWS);
        while self.shards.len() < count {
            self.shards.push(Mutex::new(Shard::default()));
        }
        let (steps, lengths) = batch.answered();
        self.last.0 = steps;
        self.last.1.clear();
        self.last.1.extend_from_slice(lengths);
        self.packed.grow(self.plan.packed_len);
        self.plan.pack(self.network.params(), &mut self.packed);

        let (plan, params, packed, want_d_x) = (&self.plan, self.network.params(), &self.packed[..], self.want_d_x);
        let draw = matches!(task, Task::Gradient { .. })
            .then_some(Draw { regularization: &self.regularization, batch: self.batch });
        let job = Job { plan, params, packed, batch, task, want_d_x, draw, imposed };
        let takes_gradients = matches!(task, Task::Gradient { .. } | Task::Pullback { .. });
        let shards = &mut self.shards[..count];
        match &self.pool {
            Some(pool) if count > 1 => {
                let next = AtomicUsize::new(0);
                let shards_left = &shards[..];
                let work = |worker: &mut Worker<R>| {
                    while let Some((index, shard)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        shards_left.get(index).map(|shard| (index, shard))
                    } {
                        worker.run(&job, index, &mut shard.lock().unwrap_or_else(PoisonError::into_inner));
                    }
                };
                let workers = &mut self.workers;
                pool.install(|| workers.par_iter_mut().with_max_len(1).for_each(work));
                if takes_gradients {
                    for (index, shard) in shards.iter_mut().enumerate() {
                        let shard = shard.get_mut().unwrap_or_else(PoisonError::into_inner);
                        add_gradients(index, &mut self.gradients, &shard.gradients);
                    }
                }
            }
            _ => {
                // One buffer for all, and summed at once, so that it stays in the cache.
                let mut gradients = std::mem::take(&mut self.spare);
                for (index, shard) in shards.iter_mut().enumerate() {
                    let shard = shard.get_mut().unwrap_or_else(PoisonError::into_inner);
                    std::mem::swap(&mut shard.gradients, &mut gradients);
                    self.workers[0].run(&job, index, shard);
                    std::mem::swap(&mut shard.gradients, &mut gradients);
                    if takes_gradients {
                        add_gradients(index, &mut self.gradients, &gradients);
                    }
                }
                self.spare = gradients;
            }
        }
    }

    fn sum_metrics(&mut self) -> &Metrics {
        let count = self.last.1.len().div_ceil(SHARD_ROWS);
        self.metrics.clear();
        for shard in &mut self.shards[..count] {
            self.metrics.merge(&shard.get_mut().unwrap_or_else(PoisonError::into_inner).metrics);
        }
        &self.metrics
    }
}

/// Adds those of shard number `index`; those of the first take the place of what was there.
fn add_gradients<R: Real>(index: usize, sum: &mut [R], gradients: &[R]) {
    if index == 0 {
        sum.copy_from_slice(&gradients[..sum.len()]);
    } else {
        dispatch(Add { sum, gradients });
    }
}

struct Add<'a, R> {
    sum: &'a mut [R],
    gradients: &'a [R],
}

impl<R: Real> Kernel for Add<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        self.sum.iter_mut().zip(self.gradients).for_each(|(sum, &g)| *sum += g);
    }
}

#[cfg(test)]
mod tests {
    use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};

    use super::*;

    #[test]
    fn penalties_pull_kernels_towards_zero_and_leave_biases() {
        let gru = LayerSpec::Gru {
            inputs: 1,
            hidden: 2,
            reset: Reset::After,
            gate: Gate::Sigmoid,
            candidate: Candidate::Tanh,
        };
        let dense = LayerSpec::Dense { inputs: 2, outputs: 1, activation: Activation::Linear };
        let mut network = Network::<f64>::new(&[gru, dense], Output::EveryStep, 1).unwrap();
        let tensors = network.tensors().to_vec();
        network.params_mut().iter_mut().enumerate().for_each(|(i, w)| *w = [0.5, -2.0, 0.0][i % 3]);
        let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1).unwrap();
        trainer.penalize(0.1, 0.01);
        for tensor in tensors {
            for index in tensor.range {
                let expected = [0.1 + 0.01, -0.1 - 0.04, 0.0][index % 3];
                let expected = if tensor.name.ends_with("bias") { 0.0 } else { expected };
                assert!((trainer.gradients()[index] - expected).abs() < 1e-15, "{}: {index}", tensor.name);
            }
        }
    }

    /// The products left out where a series begins from zeros are those that add nothing.
    #[test]
    fn a_state_of_zeros_counts_as_none() {
        for (reset, steps) in [(Reset::Before, 3), (Reset::Before, 1), (Reset::After, 3), (Reset::After, 1)] {
            let gru =
                |inputs| LayerSpec::Gru { inputs, hidden: 5, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
            let network = Network::<f64>::new(&[gru(2), gru(5)], Output::EveryStep, 1).unwrap();
            let batch = Batch {
                steps,
                lengths: vec![steps, 1, steps],
                x: (0..steps * 6).map(|i| f64::from(i as u32 % 7) - 3.0).collect(),
                targets: vec![0.25; steps * 15],
                ..Batch::default()
            };
            let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1).unwrap();
            trainer.gradient(&batch).unwrap();
            let without = trainer.gradients().to_vec();
            trainer.keep_d_x(true);
            let zeros = Batch { state: vec![0.0; 30], ..batch };
            trainer.gradient(&zeros).unwrap();
            assert_eq!(trainer.gradients(), without, "{reset:?}, {steps}");
            assert!(steps == 1 || without.iter().all(|&g| g != 0.0));
        }
    }

    #[test]
    fn ignored_steps_count_in_no_loss() {
        let gru = LayerSpec::Gru {
            inputs: 1,
            hidden: 2,
            reset: Reset::After,
            gate: Gate::Sigmoid,
            candidate: Candidate::Tanh,
        };
        let network = Network::<f64>::new(&[gru], Output::EveryStep, 1).unwrap();
        let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1).unwrap();
        let mut batch = Batch {
            steps: 4,
            lengths: vec![4, 3],
            x: vec![0.5, -1.0, 2.0, 0.1, -0.7, 0.9, 0.3, f64::NAN],
            targets: vec![0.25; 4 * 2 * 2],
            ignored: 2,
            ..Batch::default()
        };
        let outputs = trainer.forward(&batch).unwrap();
        // Steps 2 and 3 of the first series, step 2 of the second.
        let counted = [8, 9, 10, 11, 12, 13].map(|i| (outputs[i] - 0.25) * (outputs[i] - 0.25));
        let expected = counted.iter().sum::<f64>() / 6.0;
        assert!((trainer.evaluate(&batch).unwrap().loss() - expected).abs() < 1e-15);
        batch.ignored = 4;
        assert_eq!(trainer.evaluate(&batch).err(), Some(Error::AllIgnored { ignored: 4 }));
    }
}
