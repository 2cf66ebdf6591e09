//! A GRU layer on a shard of a batch: forward with a tape, and back through time.
//!
//! ```text
//! z = gate(x·Wz + h·Uz + bz)          r = gate(x·Wr + h·Ur + br)
//! c = act(x·Wc + (r⊙h)·Uc + bc)       reset before
//! c = act(x·Wc + bc + r⊙(h·Uc + b'c)) reset after
//! h' = (1-z)⊙c + z⊙h
//! ```
//! A series that has ended keeps its state and sends back the gradient of its state unchanged.

use grulet::spec::{Candidate, Gate, Reset};

use super::Real;
use super::gemm::{
    Matrix, PANEL, Start, Term, accumulate_outer, accumulate_rows, multiply, pack, pack_transposed, packed_len,
};
use super::shard::SHARD_ROWS;
use super::simd::{Isa, Kernel, dispatch};

/// A GRU's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gru {
    pub inputs: usize,
    pub hidden: usize,
    pub reset: Reset,
    pub gate: Gate,
    pub candidate: Candidate,
}

/// What a forward pass leaves for the way back. Backward overwrites all but the states.
#[derive(Debug, Default)]
pub(super) struct GruTape<R> {
    /// State before and after every step (T + 1, B, H).
    states: Vec<R>,
    /// T of the last pass.
    steps: usize,
    /// z, r, c after every step (T, B, 3H); after backward, the gradients of their sums.
    gates: Vec<R>,
    /// Reset before: r⊙h (T, B, H). Reset after: h·Uc + b'c (T, B, H); after backward, its gradient.
    aside: Vec<R>,
    /// One step's gradient of r⊙h (B, H).
    scratch: Vec<R>,
    /// What the recurrent products see of the state: all of it where this is empty (B, H).
    pub mask: Vec<R>,
    /// The states before every step, masked (T, B, H).
    masked: Vec<R>,
    /// One step's gradient of the masked state (B, H).
    d_masked: Vec<R>,
}

impl<R: Real> GruTape<R> {
    /// The states after every step (T, B, H), of `len` elements.
    pub fn output(&self, rows: usize, hidden: usize, len: usize) -> &[R] {
        &self.states[rows * hidden..][..len]
    }

    /// The states that each series ended in (B, H).
    pub fn last(&self, rows: usize, hidden: usize) -> &[R] {
        &self.states[self.steps * rows * hidden..][..rows * hidden]
    }
}

/// A shard: series of a batch that are computed together.
#[derive(Clone, Copy)]
pub(super) struct Extent<'a> {
    /// Steps of the longest series.
    pub steps: usize,
    /// Steps of each series.
    pub lengths: &'a [usize],
}

impl<'a> Extent<'a> {
    /// The shard of a batch with these lengths that starts at series `from`.
    pub fn of(lengths: &'a [usize], from: usize) -> Self {
        let lengths = &lengths[from..];
        let lengths = &lengths[..lengths.len().min(SHARD_ROWS)];
        Self { steps: lengths.iter().copied().max().unwrap_or(0), lengths }
    }
}

impl Extent<'_> {
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
}

/// Weights in the order in which the products read them.
struct Packed<T> {
    /// Sum of all biases of z and r (2H).
    bias_zr: T,
    w_zr: T,
    w_c: T,
    u_zr: T,
    u_c: T,
    w_transposed: T,
    u_zr_transposed: T,
    u_c_transposed: T,
}

impl Gru {
    /// Elements of each field of [`Packed`].
    fn packed_sizes(&self) -> [usize; 8] {
        let (i, h) = (self.inputs, self.hidden);
        [
            2 * h,
            packed_len(i, 2 * h),
            packed_len(i, h),
            packed_len(h, 2 * h),
            packed_len(h, h),
            packed_len(3 * h, i),
            packed_len(2 * h, h),
            packed_len(h, h),
        ]
    }

    pub fn packed_len(&self) -> usize {
        self.packed_sizes().iter().sum()
    }

    fn view<'a, R>(&self, mut packed: &'a [R]) -> Packed<&'a [R]> {
        let [bias_zr, w_zr, w_c, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed] =
            self.packed_sizes().map(|size| {
                let (part, rest) = packed.split_at(size);
                packed = rest;
                part
            });
        Packed { bias_zr, w_zr, w_c, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed }
    }

    fn view_mut<'a, R>(&self, packed: &'a mut [R]) -> Packed<&'a mut [R]> {
        let mut rest = packed;
        let [bias_zr, w_zr, w_c, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed] =
            self.packed_sizes().map(|size| rest.split_off_mut(..size).expect("a layer's packed weights have its size"));
        Packed { bias_zr, w_zr, w_c, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed }
    }

    /// kernel, recurrent kernel, bias.
    fn split<'a, R>(&self, params: &'a [R]) -> (&'a [R], &'a [R], &'a [R]) {
        let (kernel, rest) = params.split_at(self.inputs * 3 * self.hidden);
        let (recurrent, bias) = rest.split_at(self.hidden * 3 * self.hidden);
        (kernel, recurrent, bias)
    }

    /// Lays the parameters out for the products.
    pub fn pack<R: Real>(&self, params: &[R], packed: &mut [R]) {
        let (i, h) = (self.inputs, self.hidden);
        let (kernel, recurrent, bias) = self.split(params);
        let packed = self.view_mut(packed);
        packed.bias_zr.copy_from_slice(&bias[..2 * h]);
        if self.reset == Reset::After {
            packed.bias_zr.iter_mut().zip(&bias[3 * h..]).for_each(|(sum, &b)| *sum += b);
        }
        pack(kernel, 3 * h, i, 2 * h, packed.w_zr);
        pack(&kernel[2 * h..], 3 * h, i, h, packed.w_c);
        pack(recurrent, 3 * h, h, 2 * h, packed.u_zr);
        pack(&recurrent[2 * h..], 3 * h, h, h, packed.u_c);
        pack_transposed(kernel, 3 * h, 3 * h, i, packed.w_transposed);
        pack_transposed(recurrent, 3 * h, 2 * h, h, packed.u_zr_transposed);
        pack_transposed(&recurrent[2 * h..], 3 * h, h, h, packed.u_c_transposed);
    }

    /// Makes room, and sets the state before the first step from `initial` (row) or zeros.
    pub fn begin<'s, R: Real>(
        &self,
        extent: Extent<'_>,
        tape: &mut GruTape<R>,
        initial: impl Fn(usize) -> Option<&'s [R]>,
    ) {
        let (rows, h) = (extent.rows(), self.hidden);
        tape.steps = extent.steps;
        grow(&mut tape.states, (extent.steps + 1) * rows * h);
        grow(&mut tape.gates, extent.steps * rows * 3 * h);
        grow(&mut tape.aside, extent.steps * rows * h);
        grow(&mut tape.scratch, rows * h);
        if !tape.mask.is_empty() {
            grow(&mut tape.masked, extent.steps * rows * h);
            grow(&mut tape.d_masked, rows * h);
        }
        for (row, state) in tape.states[..rows * h].chunks_exact_mut(h).enumerate() {
            match initial(row) {
                Some(values) => state.copy_from_slice(values),
                None => state.fill(R::ZERO),
            }
        }
    }

    /// Runs all steps on `input` (T, B, I). After step t, `impose` may replace its states (B, H) before the next one.
    pub fn forward<R: Real>(
        &self,
        params: &[R],
        packed: &[R],
        extent: Extent<'_>,
        input: &[R],
        tape: &mut GruTape<R>,
        impose: impl Fn(usize, &mut [R]),
    ) {
        let (rows, i, h) = (extent.rows(), self.inputs, self.hidden);
        let (_, _, bias) = self.split(params);
        let packed = self.view(packed);
        let (mut states, mut gates, mut aside) = (&mut tape.states[..], &mut tape.gates[..], &mut tape.aside[..]);
        for (t, x) in input[..extent.steps * rows * i].chunks_exact(rows * i).enumerate() {
            let state: &[R];
            (state, states) = {
                let (before, after) = states.split_at_mut(rows * h);
                (before, after)
            };
            let (gate, next_gates) = gates.split_at_mut(rows * 3 * h);
            let (aside_now, next_aside) = aside.split_at_mut(rows * h);
            (gates, aside) = (next_gates, next_aside);
            let seen = if tape.mask.is_empty() {
                state
            } else {
                let masked = &mut tape.masked[t * rows * h..][..rows * h];
                masked.iter_mut().zip(state).zip(&tape.mask).for_each(|((masked, &h), &mask)| *masked = h * mask);
                masked
            };

            let x_zr = Term { left: x, stride: i, depth: i, packed: packed.w_zr };
            let h_zr = Term { left: seen, stride: h, depth: h, packed: packed.u_zr };
            multiply(rows, 2 * h, Start::Bias(packed.bias_zr), &[x_zr, h_zr], gate, 3 * h);
            dispatch(Gates { layer: *self, gates: gate, seen, aside: aside_now });

            let x_c = Term { left: x, stride: i, depth: i, packed: packed.w_c };
            match self.reset {
                Reset::Before => {
                    let h_c = Term { left: &*aside_now, stride: h, depth: h, packed: packed.u_c };
                    multiply(rows, h, Start::Bias(&bias[2 * h..]), &[x_c, h_c], &mut gate[2 * h..], 3 * h);
                }
                Reset::After => {
                    let h_c = Term { left: seen, stride: h, depth: h, packed: packed.u_c };
                    multiply(rows, h, Start::Bias(&bias[5 * h..]), &[h_c], aside_now, h);
                    multiply(rows, h, Start::Bias(&bias[2 * h..3 * h]), &[x_c], &mut gate[2 * h..], 3 * h);
                }
            }
            let next = &mut states[..rows * h];
            dispatch(NewState {
                layer: *self,
                lengths: extent.lengths,
                t,
                gates: gate,
                aside: aside_now,
                state,
                next: &mut *next,
            });
            impose(t, next);
        }
    }

    /// Goes back through all steps.
    ///
    /// `d_output` (T, B, H) is the gradient of the states after every step, zero where a series has ended. `d_state` (B, H)
    /// holds the gradient of the last state beside that, and then that of the first. `gradients` gets the parameters' added.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<R: Real>(
        &self,
        packed: &[R],
        extent: Extent<'_>,
        input: &[R],
        tape: &mut GruTape<R>,
        d_output: &[R],
        d_state: &mut [R],
        d_input: Option<&mut [R]>,
        gradients: &mut [R],
    ) {
        let (rows, i, h) = (extent.rows(), self.inputs, self.hidden);
        let packed = self.view(packed);
        for t in (0..extent.steps).rev() {
            let state = &tape.states[t * rows * h..][..rows * h];
            let gates = &mut tape.gates[t * rows * 3 * h..][..rows * 3 * h];
            let aside = &mut tape.aside[t * rows * h..][..rows * h];
            let d_output = &d_output[t * rows * h..][..rows * h];
            let lengths = extent.lengths;
            dispatch(StateGradient { layer: *self, lengths, t, gates, aside, state, d_output, d_state });
            // Where the products saw a masked state, its gradient comes together aside.
            let (seen, d_seen) = if tape.mask.is_empty() {
                (state, &mut *d_state)
            } else {
                tape.d_masked[..rows * h].fill(R::ZERO);
                (&tape.masked[t * rows * h..][..rows * h], &mut tape.d_masked[..rows * h])
            };
            if self.reset == Reset::Before {
                let d_reset = &mut tape.scratch[..rows * h];
                let d_c = Term { left: &gates[2 * h..], stride: 3 * h, depth: h, packed: packed.u_c_transposed };
                multiply(rows, h, Start::Zero, &[d_c], d_reset, h);
                dispatch(ResetGradient { layer: *self, gates, seen, d_reset, d_seen });
            }
            let d_zr = Term { left: gates, stride: 3 * h, depth: 2 * h, packed: packed.u_zr_transposed };
            let d_c = Term { left: aside, stride: h, depth: h, packed: packed.u_c_transposed };
            match self.reset {
                Reset::Before => multiply(rows, h, Start::Output, &[d_zr], d_seen, h),
                Reset::After => multiply(rows, h, Start::Output, &[d_zr, d_c], d_seen, h),
            }
            if !tape.mask.is_empty() {
                let d_masked = tape.d_masked.iter().zip(&tape.mask);
                d_state.iter_mut().zip(d_masked).for_each(|(d, (&d_masked, &mask))| *d += d_masked * mask);
            }
        }

        let all = extent.steps * rows;
        if let Some(d_input) = d_input {
            let term = Term { left: &tape.gates, stride: 3 * h, depth: 3 * h, packed: packed.w_transposed };
            multiply(all, i, Start::Zero, &[term], d_input, i);
        }
        let inputs = Matrix { data: input, stride: i, columns: i };
        let states = if tape.mask.is_empty() { &tape.states } else { &tape.masked };
        let states = Matrix { data: states, stride: h, columns: h };
        let d_gates = Matrix { data: &tape.gates, stride: 3 * h, columns: 3 * h };
        let d_zr = Matrix { columns: 2 * h, ..d_gates };
        let d_c = Matrix { data: &tape.gates[2 * h..], stride: 3 * h, columns: h };
        let aside = Matrix { data: &tape.aside, stride: h, columns: h };
        let (kernel, rest) = gradients.split_at_mut(i * 3 * h);
        let (recurrent, bias) = rest.split_at_mut(h * 3 * h);
        accumulate_outer(all, inputs, d_gates, kernel, 3 * h);
        accumulate_outer(all, states, d_zr, recurrent, 3 * h);
        accumulate_rows(all, d_gates, &mut bias[..3 * h]);
        match self.reset {
            Reset::Before => accumulate_outer(all, aside, d_c, &mut recurrent[2 * h..], 3 * h),
            Reset::After => {
                accumulate_outer(all, states, aside, &mut recurrent[2 * h..], 3 * h);
                accumulate_rows(all, d_zr, &mut bias[3 * h..5 * h]);
                accumulate_rows(all, aside, &mut bias[5 * h..]);
            }
        }
    }
}

/// Grows a buffer; never shrinks it, so that it is allocated once.
pub(super) fn grow<R: Real>(buffer: &mut Vec<R>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, R::ZERO);
    }
}

/// Derivative of the sigmoid by its sum, from its value.
#[inline(always)]
fn sigmoid_slope<R: Real>(y: R) -> R {
    y * (R::ONE - y)
}

/// The same of the hard sigmoid.
#[inline(always)]
fn hard_sigmoid_slope<R: Real>(y: R) -> R {
    if y > R::ZERO && y < R::ONE { R::from_f64(0.2) } else { R::ZERO }
}

/// The same of ReLU.
#[inline(always)]
fn relu_slope<R: Real>(y: R) -> R {
    if y > R::ZERO { R::ONE } else { R::ZERO }
}

/// The values from `j` on.
#[inline(always)]
fn chunk<R: Real>(values: &[R], j: usize) -> [R; PANEL] {
    values[j..][..PANEL].try_into().expect("a slice of 16 has 16 elements")
}

/// Activates z and r of one step and, for reset before, sets aside r⊙h.
struct Gates<'a, R> {
    layer: Gru,
    gates: &'a mut [R],
    /// The state, or what a mask leaves of it.
    seen: &'a [R],
    aside: &'a mut [R],
}

impl<R: Real> Kernel for Gates<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        let h = self.layer.hidden;
        let rows =
            self.gates.chunks_exact_mut(3 * h).zip(self.seen.chunks_exact(h)).zip(self.aside.chunks_exact_mut(h));
        for ((gates, seen), aside) in rows {
            match self.layer.gate {
                Gate::Sigmoid => gates[..2 * h].iter_mut().for_each(|g| *g = g.sigmoid()),
                Gate::HardSigmoid => gates[..2 * h].iter_mut().for_each(|g| *g = g.hard_sigmoid()),
            }
            if self.layer.reset == Reset::Before {
                for ((aside, &r), &seen) in aside.iter_mut().zip(&gates[h..2 * h]).zip(seen) {
                    *aside = r * seen;
                }
            }
        }
    }
}

/// Activates the candidate of one step and updates the state.
struct NewState<'a, R> {
    layer: Gru,
    lengths: &'a [usize],
    t: usize,
    gates: &'a mut [R],
    aside: &'a [R],
    state: &'a [R],
    next: &'a mut [R],
}

impl<R: Real> Kernel for NewState<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        let h = self.layer.hidden;
        for (row, &length) in self.lengths.iter().enumerate() {
            let (zr, c) = self.gates[row * 3 * h..][..3 * h].split_at_mut(2 * h);
            let (z, r) = zr.split_at(h);
            let aside = &self.aside[row * h..][..h];
            let state = &self.state[row * h..][..h];
            let next = &mut self.next[row * h..][..h];
            if self.layer.reset == Reset::After {
                for ((c, &r), &aside) in c.iter_mut().zip(r).zip(aside) {
                    *c += r * aside;
                }
            }
            match self.layer.candidate {
                Candidate::Tanh => c.iter_mut().for_each(|c| *c = c.tanh()),
                Candidate::Relu => c.iter_mut().for_each(|c| *c = c.at_least(R::ZERO)),
                Candidate::Linear => {}
            }
            if self.t < length {
                for (((next, &z), &c), &state) in next.iter_mut().zip(z).zip(&*c).zip(state) {
                    *next = (R::ONE - z) * c + z * state;
                }
            } else {
                next.copy_from_slice(state);
            }
        }
    }
}

/// Takes the gradient of the state after a step to the gates' sums, and to the state before as far as it passes by the
/// update gate. For reset before, r is left to [`ResetGradient`].
struct StateGradient<'a, R> {
    layer: Gru,
    lengths: &'a [usize],
    t: usize,
    gates: &'a mut [R],
    aside: &'a mut [R],
    state: &'a [R],
    d_output: &'a [R],
    d_state: &'a mut [R],
}

impl<R: Real> Kernel for StateGradient<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        // The activations are chosen out here: a choice per element keeps the loops from being vectorised.
        match self.layer.gate {
            Gate::Sigmoid => self.choose_candidate(sigmoid_slope),
            Gate::HardSigmoid => self.choose_candidate(hard_sigmoid_slope),
        }
    }
}

impl<R: Real> StateGradient<'_, R> {
    #[inline(always)]
    fn choose_candidate(self, gate_slope: impl Fn(R) -> R) {
        match self.layer.candidate {
            Candidate::Tanh => self.rows(gate_slope, |y| R::ONE - y * y),
            Candidate::Relu => self.rows(gate_slope, relu_slope),
            Candidate::Linear => self.rows(gate_slope, |_| R::ONE),
        }
    }

    #[inline(always)]
    fn rows(self, gate_slope: impl Fn(R) -> R, candidate_slope: impl Fn(R) -> R) {
        let Gru { hidden: h, reset, .. } = self.layer;
        for (row, &length) in self.lengths.iter().enumerate() {
            let gates = &mut self.gates[row * 3 * h..][..3 * h];
            let aside = &mut self.aside[row * h..][..h];
            if self.t >= length {
                gates.fill(R::ZERO);
                aside.fill(R::ZERO);
                continue;
            }
            let (z, rc) = gates.split_at_mut(h);
            let (r, c) = rc.split_at_mut(h);
            let state = &self.state[row * h..][..h];
            let d_output = &self.d_output[row * h..][..h];
            let d_state = &mut self.d_state[row * h..][..h];
            let element = |z: &mut R, c: &mut R, d_state: &mut R, state: R, d_output: R| {
                let d = *d_state + d_output;
                *d_state = d * *z;
                let d_c = d * (R::ONE - *z) * candidate_slope(*c);
                *z = d * (state - *c) * gate_slope(*z);
                *c = d_c;
            };
            // Through arrays, because five slices may overlap for all that the compiler knows, and would not be vectorised.
            let mut j = 0;
            while j + PANEL <= h {
                let (mut z_now, mut c_now, mut d_now) = (chunk(z, j), chunk(c, j), chunk(d_state, j));
                let (state, d_output) = (chunk(state, j), chunk(d_output, j));
                for n in 0..PANEL {
                    element(&mut z_now[n], &mut c_now[n], &mut d_now[n], state[n], d_output[n]);
                }
                z[j..][..PANEL].copy_from_slice(&z_now);
                c[j..][..PANEL].copy_from_slice(&c_now);
                d_state[j..][..PANEL].copy_from_slice(&d_now);
                j += PANEL;
            }
            for j in j..h {
                element(&mut z[j], &mut c[j], &mut d_state[j], state[j], d_output[j]);
            }
            if reset == Reset::After {
                for j in 0..h {
                    let d_r = c[j] * aside[j] * gate_slope(r[j]);
                    aside[j] = c[j] * r[j];
                    r[j] = d_r;
                }
            }
        }
    }
}

/// Reset before: takes the gradient of r⊙h to the sum of r and to the state before.
struct ResetGradient<'a, R> {
    layer: Gru,
    gates: &'a mut [R],
    seen: &'a [R],
    d_reset: &'a [R],
    d_seen: &'a mut [R],
}

impl<R: Real> Kernel for ResetGradient<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        match self.layer.gate {
            Gate::Sigmoid => self.rows(sigmoid_slope),
            Gate::HardSigmoid => self.rows(hard_sigmoid_slope),
        }
    }
}

impl<R: Real> ResetGradient<'_, R> {
    #[inline(always)]
    fn rows(self, gate_slope: impl Fn(R) -> R) {
        let h = self.layer.hidden;
        for row in 0..self.seen.len() / h {
            let r = &mut self.gates[row * 3 * h + h..][..h];
            let seen = &self.seen[row * h..][..h];
            let d_reset = &self.d_reset[row * h..][..h];
            let d_seen = &mut self.d_seen[row * h..][..h];
            for j in 0..h {
                d_seen[j] += d_reset[j] * r[j];
                r[j] = d_reset[j] * seen[j] * gate_slope(r[j]);
            }
        }
    }
}
