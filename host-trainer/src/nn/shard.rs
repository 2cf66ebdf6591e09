//! One pass of a whole network over a shard of a batch: forward, loss, and back.

use std::ops::Range;

use grulet::spec::Output;

use super::bidirectional::{BidirectionalTape, Direction};
use super::gru::{Extent, GruTape, grow};
use super::one_hot::Input;
use super::plan::{Kind, Plan};
use super::regularize::{self, Draw, Mask};
use super::{Batch, Loss, Metrics, Real};

/// Series that are computed together. It is fixed, because the order of the sums over a batch follows from it.
pub(super) const SHARD_ROWS: usize = 8;

/// What to do with a batch.
#[derive(Clone, Copy)]
pub(super) enum Task<'a, R> {
    /// Outputs only.
    Forward,
    /// And loss and metrics.
    Evaluate { loss: Loss, scale: f64 },
    /// And gradients.
    Gradient { loss: Loss, scale: f64 },
    /// Gradients from those of the outputs (T, B, O) or (B, O), without a loss.
    Pullback { d_outputs: &'a [R] },
}

/// Everything that all shards of a batch share.
#[derive(Clone, Copy)]
pub(super) struct Job<'a, R> {
    pub plan: &'a Plan,
    pub params: &'a [R],
    pub packed: &'a [R],
    pub batch: &'a Batch<R>,
    pub task: Task<'a, R>,
    pub want_d_x: bool,
    /// Dropout, where gradients are taken.
    pub draw: Option<Draw<'a>>,
    /// For each layer outputs (T, B, O) that take the place of its own, see [`Trainer::gradient_with`](super::Trainer).
    pub imposed: Option<&'a [Vec<R>]>,
}

impl<R: Real> Job<'_, R> {
    /// Replaces outputs (rows, width) of a layer at the steps that `step` gives for each series, if it gives one.
    fn impose(
        &self,
        layer: usize,
        from: usize,
        width: usize,
        outputs: &mut [R],
        step: impl Fn(usize) -> Option<usize>,
    ) {
        let Some(imposed) = self.imposed else { return };
        for (row, output) in outputs.chunks_exact_mut(width).enumerate() {
            if let Some(t) = step(row) {
                output.copy_from_slice(&imposed[layer][(t * self.batch.rows() + from + row) * width..][..width]);
            }
        }
    }

    /// The same with the states (rows, H) that one direction of a bidirectional layer has at the steps that `step` gives.
    fn impose_direction(
        &self,
        layer: usize,
        from: usize,
        direction: Direction,
        hidden: usize,
        states: &mut [R],
        step: impl Fn(usize) -> Option<usize>,
    ) {
        let Some(imposed) = self.imposed else { return };
        let first = if direction == Direction::Forward { 0 } else { hidden };
        for (row, state) in states.chunks_exact_mut(hidden).enumerate() {
            if let Some(t) = step(row) {
                let both = &imposed[layer][(t * self.batch.rows() + from + row) * 2 * hidden..][..2 * hidden];
                state.copy_from_slice(&both[first..][..hidden]);
            }
        }
    }
}

/// What a shard leaves.
#[derive(Debug, Default)]
pub(super) struct Shard<R> {
    /// Steps of the longest of its series that have outputs.
    pub steps: usize,
    pub gradients: Vec<R>,
    pub metrics: Metrics,
    /// (steps, rows, O), or (rows, O).
    pub outputs: Vec<R>,
    /// After the last step of each series (rows, S).
    pub states: Vec<R>,
    /// (steps, rows, C).
    pub d_x: Vec<R>,
    /// For each layer (rows, H), one after the other.
    pub d_state: Vec<R>,
}

impl<R: Real> Shard<R> {
    /// The gradient by the state before the first step of one series, layer by layer.
    pub fn d_state_of(&self, plan: &Plan, rows: usize, row: usize) -> impl Iterator<Item = R> {
        plan.layers.iter().flat_map(move |layer| {
            let width = match &layer.kind {
                Kind::Gru(gru) => gru.hidden,
                Kind::Dense(_) | Kind::Embedding(_) | Kind::Pool(_) | Kind::Bidirectional(_) | Kind::OneHot => 0,
            };
            self.d_state[layer.state * rows + row * width..][..width].iter().copied()
        })
    }
}

/// What a layer leaves for the way back.
#[derive(Debug)]
enum Tape<R> {
    Gru(Box<GruTape<R>>),
    /// Outputs (rows, O), of an embedding and a pool too; of a one-hot layer the tokens (rows).
    Dense(Vec<R>),
    Bidirectional(Box<BidirectionalTape<R>>),
}

/// The buffers of one thread. They grow to the largest shard and are used again and again.
#[derive(Debug)]
pub(super) struct Worker<R> {
    /// Inputs (steps, rows, C), zero in the padding.
    input: Vec<R>,
    /// The same of a decoder.
    decoder_input: Vec<R>,
    tapes: Vec<Tape<R>>,
    /// Inputs of the head (rows, width).
    last: Vec<R>,
    /// For each layer with dropout on its inputs, the mask (rows, width); empty for others.
    masks: Vec<Vec<R>>,
    /// For each of these, its inputs after it (steps, rows, width), or (rows, width).
    dropped: Vec<Vec<R>>,
    /// For each layer with dropout on one-hot inputs, the mask (rows, V), which their tokens pick from; empty for others.
    token_masks: Vec<Vec<R>>,
    /// Sums before the last activation.
    sums: Vec<R>,
    /// Gradient by the output of a layer.
    d: Vec<R>,
    /// Gradient by its input.
    d_next: Vec<R>,
}

impl<R: Real> Worker<R> {
    pub fn new(plan: &Plan) -> Self {
        let tapes = plan.layers.iter().map(|layer| match &layer.kind {
            Kind::Gru(_) => Tape::Gru(Box::default()),
            Kind::Bidirectional(_) => Tape::Bidirectional(Box::default()),
            Kind::Dense(_) | Kind::Embedding(_) | Kind::Pool(_) | Kind::OneHot => Tape::Dense(Vec::new()),
        });
        Self {
            input: Vec::new(),
            decoder_input: Vec::new(),
            tapes: tapes.collect(),
            last: Vec::new(),
            masks: vec![Vec::new(); plan.layers.len()],
            dropped: vec![Vec::new(); plan.layers.len()],
            token_masks: vec![Vec::new(); plan.layers.len()],
            sums: Vec::new(),
            d: Vec::new(),
            d_next: Vec::new(),
        }
    }

    /// Computes shard number `index` of the batch.
    pub fn run(&mut self, job: &Job<'_, R>, index: usize, shard: &mut Shard<R>) {
        let from = index * SHARD_ROWS;
        let Batch { lengths, x, decoder, .. } = job.batch;
        let source = Extent::of(lengths, from);
        let extent = decoder.as_ref().map_or(source, |decoder| Extent::of(&decoder.lengths, from));
        shard.steps = extent.steps;

        read_input(x, job.plan.inputs(), lengths.len(), from, source, &mut self.input);
        if let (Some(width), Some(decoder)) = (job.plan.decoder_inputs(), decoder) {
            read_input(&decoder.x, width, lengths.len(), from, extent, &mut self.decoder_input);
        }
        self.draw_masks(job, from, extent.rows());
        if job.plan.encoder > 0 {
            self.forward(job, from, 0..job.plan.encoder, source);
        }
        self.forward(job, from, job.plan.encoder..job.plan.layers.len(), extent);
        self.write_output(job.plan, extent, shard);
        self.write_states(job.plan, extent.rows(), shard);
        match job.task {
            Task::Forward => {}
            Task::Evaluate { loss, scale } => self.loss(job, from, extent, loss, scale, shard),
            Task::Gradient { loss, scale } => {
                self.loss(job, from, extent, loss, scale, shard);
                self.backward(job, source, extent, loss.is_classification(), shard);
            }
            Task::Pullback { d_outputs } => {
                self.read_d_outputs(job, from, extent, d_outputs);
                self.backward(job, source, extent, false, shard);
            }
        }
    }

    /// Draws the masks of a shard.
    fn draw_masks(&mut self, job: &Job<'_, R>, from: usize, rows: usize) {
        for (index, layer) in job.plan.layers.iter().enumerate() {
            let draw = |kind, width: usize, mask: &mut Vec<R>| {
                mask.clear();
                let Some(draw) = job.draw else { return };
                let rate = draw.rate(kind, index);
                if rate > 0.0 && width > 0 {
                    mask.resize(rows * width, R::ZERO);
                    draw.mask(rate, kind, layer.number, from, width, mask);
                }
            };
            let masks = if layer.takes_one_hot() { &mut self.token_masks } else { &mut self.masks };
            draw(Mask::Inputs, layer.droppable(), &mut masks[index]);
            match (&mut self.tapes[index], &layer.kind) {
                (Tape::Gru(tape), _) => draw(Mask::State, layer.outputs(), &mut tape.mask),
                (Tape::Bidirectional(tape), Kind::Bidirectional(layer)) => {
                    draw(Mask::State, 2 * layer.gru.hidden, &mut tape.mask);
                }
                _ => {}
            }
        }
    }

    /// Runs the given layers: a chain, an encoder or a decoder.
    fn forward(&mut self, job: &Job<'_, R>, from: usize, layers: Range<usize>, extent: Extent<'_>) {
        let plan = job.plan;
        let (rows, all) = (extent.rows(), extent.rows() * extent.steps);
        for index in layers {
            let layer = &plan.layers[index];
            let (params, packed) = (&job.params[layer.params.clone()], &job.packed[layer.packed.clone()]);
            let (before, now) = self.tapes.split_at_mut(index);
            let inputs = if index < plan.encoder || plan.encoder == 0 { &self.input } else { &self.decoder_input };
            let mut input = body_output(plan, before, inputs, index, extent);
            if index == plan.head {
                gather_last(input, layer.inputs(), extent, &mut self.last);
            }
            let mut count = all;
            if plan.in_head(index) {
                count = rows;
                input = if index == plan.head { &self.last } else { dense_output(before) };
            }
            if !self.masks[index].is_empty() {
                let (dropped, len) = (&mut self.dropped[index], count * layer.inputs());
                grow(dropped, len);
                dropped[..len].copy_from_slice(&input[..len]);
                regularize::apply(&self.masks[index], &mut dropped[..len]);
                input = dropped;
            }
            let masked = Input { values: input, mask: &self.token_masks[index] };
            match (&layer.kind, &mut now[0]) {
                (Kind::Gru(gru), Tape::Gru(tape)) => {
                    let state = &job.batch.state;
                    let encoded =
                        plan.starts_from[index].map(|encoder| last_states(&before[encoder], rows, gru.hidden));
                    gru.begin(extent, tape, |row| {
                        let start = (from + row) * plan.state_len + layer.state;
                        let given = || (!state.is_empty()).then(|| &state[start..][..gru.hidden]);
                        encoded.map(|states| &states[row * gru.hidden..][..gru.hidden]).or_else(given)
                    });
                    let within = |t: usize| move |row: usize| (t < extent.lengths[row]).then_some(t);
                    gru.forward(params, packed, extent, masked, tape, |t, states| {
                        job.impose(index, from, gru.hidden, states, within(t));
                    });
                }
                (Kind::Dense(dense), Tape::Dense(out)) => {
                    let len = count * dense.outputs;
                    grow(out, len);
                    let out = &mut out[..len];
                    dense.sums(params, packed, count, masked, out);
                    if index + 1 == plan.layers.len() {
                        grow(&mut self.sums, len);
                        self.sums[..len].copy_from_slice(out);
                    }
                    dense.activate(out);
                    if plan.in_head(index) {
                        job.impose(index, from, dense.outputs, out, |row| Some(extent.lengths[row] - 1));
                    } else {
                        for (t, out) in out.chunks_exact_mut(rows * dense.outputs).enumerate() {
                            job.impose(index, from, dense.outputs, out, |row| (t < extent.lengths[row]).then_some(t));
                        }
                    }
                }
                (Kind::Embedding(embedding), Tape::Dense(out)) => {
                    let len = count * embedding.outputs;
                    grow(out, len);
                    embedding.forward(params, &input[..count], &mut out[..len]);
                    for (t, out) in out[..len].chunks_exact_mut(rows * embedding.outputs).enumerate() {
                        job.impose(index, from, embedding.outputs, out, |row| (t < extent.lengths[row]).then_some(t));
                    }
                }
                // What is imposed of it would be the same tokens.
                (Kind::OneHot, Tape::Dense(out)) => {
                    grow(out, count);
                    out[..count].copy_from_slice(&input[..count]);
                }
                (Kind::Bidirectional(layer), Tape::Bidirectional(tape)) => {
                    let hidden = layer.gru.hidden;
                    layer.forward(params, packed, extent, masked, tape, |direction, t, states| {
                        job.impose_direction(index, from, direction, hidden, states, |row| {
                            let length = extent.lengths[row];
                            let own = if direction == Direction::Forward { t } else { length.wrapping_sub(t + 1) };
                            (t < length).then_some(own)
                        });
                    });
                }
                (Kind::Pool(pool), Tape::Dense(out)) => {
                    let len = count * pool.width;
                    grow(out, len);
                    pool.forward(extent, input, &mut out[..len]);
                    for (t, out) in out[..len].chunks_exact_mut(rows * pool.width).enumerate() {
                        job.impose(index, from, pool.width, out, |row| (t < extent.lengths[row]).then_some(t));
                    }
                }
                _ => unreachable!("tapes are made for their layers"),
            }
        }
        if plan.head == plan.layers.len() && plan.output == Output::LastStep {
            let output = body_output(plan, &self.tapes, &self.input, plan.layers.len(), extent);
            gather_last(output, plan.outputs(), extent, &mut self.last);
        }
    }

    /// Outputs of the last layer: (steps, rows, O), or (rows, O).
    fn output(&self, plan: &Plan, extent: Extent<'_>) -> &[R] {
        let len = plan.output_steps(extent.steps) * extent.rows() * plan.outputs();
        let layers = plan.layers.len();
        let all = match plan.output {
            Output::EveryStep | Output::Sequence(_) => body_output(plan, &self.tapes, &self.input, layers, extent),
            Output::LastStep if plan.head == layers => &self.last,
            Output::LastStep => dense_output(&self.tapes),
        };
        &all[..len]
    }

    fn write_output(&self, plan: &Plan, extent: Extent<'_>, shard: &mut Shard<R>) {
        let output = self.output(plan, extent);
        grow(&mut shard.outputs, output.len());
        shard.outputs[..output.len()].copy_from_slice(output);
    }

    fn write_states(&self, plan: &Plan, rows: usize, shard: &mut Shard<R>) {
        grow(&mut shard.states, rows * plan.state_len);
        for (layer, tape) in plan.layers.iter().zip(&self.tapes) {
            let Tape::Gru(tape) = tape else { continue };
            let width = layer.outputs();
            for (row, last) in tape.last(rows, width).chunks_exact(width).enumerate() {
                shard.states[row * plan.state_len + layer.state..][..width].copy_from_slice(last);
            }
        }
    }

    fn loss(
        &mut self,
        job: &Job<'_, R>,
        from: usize,
        extent: Extent<'_>,
        loss: Loss,
        scale: f64,
        shard: &mut Shard<R>,
    ) {
        let plan = job.plan;
        let (rows, width) = (extent.rows(), plan.outputs());
        let target_width = loss.target_len(width);
        let scale = R::from_f64(scale);
        let smoothing = job.draw.map_or(0.0, |draw| draw.regularization.label_smoothing);
        let mut d = std::mem::take(&mut self.d);
        grow(&mut d, plan.output_steps(extent.steps) * rows * width);
        let output = self.output(plan, extent);
        let sites = (0..plan.output_steps(extent.steps)).flat_map(|t| {
            extent.lengths.iter().enumerate().map(move |(row, &length)| {
                let site = t * rows + row;
                let target = (t * job.batch.rows() + from + row) * target_width;
                let weight = job.batch.weights.get(t * job.batch.rows() + from + row);
                let target = plan
                    .counts(t, length, job.batch.ignored(from + row))
                    .then(|| &job.batch.targets[target..][..target_width]);
                (site, weight.copied().unwrap_or(R::ONE), target)
            })
        });
        let metrics = &mut shard.metrics;
        metrics.clear();
        for (site, weight, target) in sites.clone() {
            let d = &mut d[site * width..][..width];
            let Some(target) = target else {
                d.fill(R::ZERO);
                continue;
            };
            let out = &output[site * width..][..width];
            let sums = if loss.is_classification() { &self.sums[site * width..][..width] } else { out };
            let sum = loss.evaluate(out, sums, target, scale * weight, smoothing, d);
            metrics.add_loss(sum * weight.to_f64(), loss.elements(width));
        }
        let pairs = sites.filter_map(|(site, _, target)| Some((&output[site * width..][..width], target?)));
        metrics.add(loss, width, pairs);
        self.d = d;
    }

    fn read_d_outputs(&mut self, job: &Job<'_, R>, from: usize, extent: Extent<'_>, d_outputs: &[R]) {
        let (rows, width) = (extent.rows(), job.plan.outputs());
        let steps = job.plan.output_steps(extent.steps);
        grow(&mut self.d, steps * rows * width);
        for t in 0..steps {
            for (row, &length) in extent.lengths.iter().enumerate() {
                let d = &mut self.d[(t * rows + row) * width..][..width];
                if job.plan.is_valid(t, length) {
                    d.copy_from_slice(&d_outputs[(t * job.batch.rows() + from + row) * width..][..width]);
                } else {
                    d.fill(R::ZERO);
                }
            }
        }
    }

    /// From `self.d`, the gradient by the outputs (or by the last layer's sums), to all others.
    fn backward(
        &mut self,
        job: &Job<'_, R>,
        source: Extent<'_>,
        answered: Extent<'_>,
        d_is_of_sums: bool,
        shard: &mut Shard<R>,
    ) {
        let plan = job.plan;
        let (rows, mut extent) = (answered.rows(), answered);
        grow(&mut shard.gradients, plan.params_len);
        grow(&mut shard.d_state, rows * plan.state_len);
        shard.d_state.fill(R::ZERO);

        if plan.output == Output::LastStep && plan.head == plan.layers.len() {
            self.spread_last(plan.outputs(), extent);
        }
        for (index, layer) in plan.layers.iter().enumerate().rev() {
            if index + 1 == plan.encoder {
                // Its outputs go nowhere: only its last states do.
                extent = source;
                let len = extent.steps * rows * layer.outputs();
                grow(&mut self.d, len);
                self.d[..len].fill(R::ZERO);
            }
            let all = rows * extent.steps;
            let inputs = if index < plan.encoder || plan.encoder == 0 { &self.input } else { &self.decoder_input };
            let first = index == 0 || index == plan.encoder;
            let packed = &job.packed[layer.packed.clone()];
            let gradients = &mut shard.gradients[layer.params.clone()];
            let (before, now) = self.tapes.split_at_mut(index);
            let (count, mut input) = if !plan.in_head(index) {
                (all, body_output(plan, before, inputs, index, extent))
            } else if index == plan.head {
                (rows, &self.last[..])
            } else {
                (rows, dense_output(before))
            };
            let mask = &self.masks[index];
            if !mask.is_empty() {
                input = &self.dropped[index];
            }
            let masked = Input { values: input, mask: &self.token_masks[index] };
            grow(&mut self.d_next, count * layer.inputs());
            let d_input = (!first || job.want_d_x).then_some(&mut self.d_next[..]);
            match (&layer.kind, &mut now[0]) {
                (Kind::Gru(gru), Tape::Gru(tape)) => {
                    let d_state = &mut shard.d_state[layer.state * rows..][..rows * gru.hidden];
                    tape.keep_d_first = job.want_d_x;
                    gru.backward(packed, extent, masked, tape, &self.d, d_state, d_input, gradients);
                    if let Some(encoder) = plan.starts_from[index] {
                        let (of_encoder, own) = (plan.layers[encoder].state * rows, layer.state * rows);
                        shard.d_state.copy_within(own..own + rows * gru.hidden, of_encoder);
                    }
                }
                (Kind::Dense(dense), Tape::Dense(out)) => {
                    let len = count * dense.outputs;
                    if !(d_is_of_sums && index + 1 == plan.layers.len()) {
                        dense.activation_gradient(&out[..len], &mut self.d[..len]);
                    }
                    dense.backward(packed, count, masked, &self.d[..len], d_input, gradients);
                }
                (Kind::Bidirectional(layer), Tape::Bidirectional(tape)) => {
                    layer.backward(packed, extent, masked, tape, &self.d, d_input, gradients);
                }
                (Kind::Embedding(embedding), _) => {
                    embedding.backward(&input[..count], &self.d[..count * embedding.outputs], gradients);
                    // Tokens have no gradient.
                    self.d_next[..count].fill(R::ZERO);
                }
                // Tokens have no gradient.
                (Kind::OneHot, _) => self.d_next[..count].fill(R::ZERO),
                (Kind::Pool(pool), Tape::Dense(out)) => {
                    if let Some(d_input) = d_input {
                        pool.backward(extent, input, out, &self.d, d_input);
                    }
                }
                _ => unreachable!("tapes are made for their layers"),
            }
            if !mask.is_empty() {
                regularize::apply(mask, &mut self.d_next[..count * layer.inputs()]);
            }
            std::mem::swap(&mut self.d, &mut self.d_next);
            if index == plan.head && (index > 0 || job.want_d_x) {
                self.spread_last(layer.inputs(), extent);
            }
        }
        if job.want_d_x {
            let len = rows * source.steps * plan.inputs();
            grow(&mut shard.d_x, len);
            shard.d_x[..len].copy_from_slice(&self.d[..len]);
        }
    }

    /// Turns a gradient by last steps (rows, width) into one by all steps (steps, rows, width).
    fn spread_last(&mut self, width: usize, extent: Extent<'_>) {
        let rows = extent.rows();
        let len = extent.steps * rows * width;
        grow(&mut self.d_next, len);
        self.d_next[..len].fill(R::ZERO);
        for (row, &length) in extent.lengths.iter().enumerate() {
            let last = (length - 1) * rows + row;
            self.d_next[last * width..][..width].copy_from_slice(&self.d[row * width..][..width]);
        }
        std::mem::swap(&mut self.d, &mut self.d_next);
    }
}

/// The inputs (steps, rows, width) of a shard from those (T, B, width) of a batch, with zeros in the padding.
fn read_input<R: Real>(x: &[R], width: usize, batch: usize, from: usize, extent: Extent<'_>, input: &mut Vec<R>) {
    let rows = extent.rows();
    grow(input, extent.steps * rows * width);
    for t in 0..extent.steps {
        let source = &x[(t * batch + from) * width..][..rows * width];
        let target = &mut input[t * rows * width..][..rows * width];
        target.copy_from_slice(source);
        for (x, &length) in target.chunks_exact_mut(width).zip(extent.lengths) {
            if t >= length {
                x.fill(R::ZERO);
            }
        }
    }
}

/// What the layer before `index` gave for every step, or the inputs.
fn body_output<'a, R: Real>(
    plan: &Plan,
    tapes: &'a [Tape<R>],
    input: &'a [R],
    index: usize,
    extent: Extent<'_>,
) -> &'a [R] {
    let Some(previous) = index.checked_sub(1).filter(|_| index != plan.encoder) else { return input };
    let hidden = plan.layers[previous].outputs();
    match &tapes[previous] {
        Tape::Gru(tape) => tape.output(extent.rows(), hidden, extent.steps * extent.rows() * hidden),
        Tape::Dense(out) => out,
        Tape::Bidirectional(tape) => tape.output(),
    }
}

/// The states (rows, H) that a GRU's series end in.
fn last_states<R: Real>(tape: &Tape<R>, rows: usize, hidden: usize) -> &[R] {
    match tape {
        Tape::Gru(tape) => tape.last(rows, hidden),
        Tape::Dense(_) | Tape::Bidirectional(_) => unreachable!("only GRUs hand a state over"),
    }
}

/// What the last of these layers, which runs on last steps, gave.
fn dense_output<R>(tapes: &[Tape<R>]) -> &[R] {
    match tapes.last() {
        Some(Tape::Dense(out)) => out,
        _ => unreachable!("only layers without a state follow the last one with a state"),
    }
}

/// Copies each series' last step from (steps, rows, width) to (rows, width).
fn gather_last<R: Real>(all: &[R], width: usize, extent: Extent<'_>, last: &mut Vec<R>) {
    let rows = extent.rows();
    grow(last, rows * width);
    for (row, &length) in extent.lengths.iter().enumerate() {
        let site = (length - 1) * rows + row;
        last[row * width..][..width].copy_from_slice(&all[site * width..][..width]);
    }
}
