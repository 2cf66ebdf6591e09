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
use super::aligned::Aligned;
use super::elementwise::{NewState, ResetGate, ResetGradient, StateGradient};
use super::gemm::{Matrix, Start, Term, multiply, outer_product, pack, pack_transposed, packed_len, sum_rows};
use super::one_hot::{self, Input, Rows};
use super::shard::SHARD_ROWS;
use super::simd::dispatch;

/// Numbers of the inputs' products that are computed at a time, ahead of the steps that they belong to: so many stay in the
/// second-level cache.
const AHEAD: usize = 16384;

/// A GRU's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gru {
    pub inputs: usize,
    /// Whether its inputs are one-hot: one token at each step stands for them.
    pub one_hot: bool,
    pub hidden: usize,
    pub reset: Reset,
    pub gate: Gate,
    pub candidate: Candidate,
}

/// What a forward pass leaves for the way back. Backward overwrites all but the states.
#[derive(Debug, Default)]
pub(super) struct GruTape<R> {
    /// State before and after every step (T + 1, B, H).
    states: Aligned<R>,
    /// T of the last pass.
    steps: usize,
    /// Whether all its series began with a state of zeros, whose products are not computed then.
    from_zeros: bool,
    /// Whether the gradient of that state is wanted.
    pub keep_d_first: bool,
    /// z, r, c after every step (T, B, 3H); after backward, the gradients of their sums.
    gates: Aligned<R>,
    /// Reset before: r⊙h (T, B, H). Reset after: h·Uc + b'c (T, B, H); after backward, its gradient.
    aside: Aligned<R>,
    /// One step's gradient of r⊙h (B, H).
    scratch: Aligned<R>,
    /// What the recurrent products see of the state: all of it where this is empty (B, H).
    pub mask: Vec<R>,
    /// The states before every step, masked (T, B, H).
    masked: Aligned<R>,
    /// One step's gradient of the masked state (B, H).
    d_masked: Aligned<R>,
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
    /// What the sums of z, r and c begin with (3H), and room, so that all that follows is aligned as the first is.
    bias: T,
    w: T,
    u_zr: T,
    u_c: T,
    w_transposed: T,
    u_zr_transposed: T,
    u_c_transposed: T,
}

impl Gru {
    /// Numbers that it takes at each step.
    pub fn width(&self) -> usize {
        if self.one_hot { 1 } else { self.inputs }
    }

    /// Inputs that a kernel is multiplied with.
    fn multiplied(&self) -> usize {
        if self.one_hot { 0 } else { self.inputs }
    }

    /// Elements of each field of [`Packed`].
    fn packed_sizes(&self) -> [usize; 7] {
        let (i, h) = (self.multiplied(), self.hidden);
        [
            packed_len(1, 3 * h),
            packed_len(i, 3 * h),
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
        let [bias, w, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed] = self.packed_sizes().map(|size| {
            let (part, rest) = packed.split_at(size);
            packed = rest;
            part
        });
        Packed { bias, w, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed }
    }

    fn view_mut<'a, R>(&self, packed: &'a mut [R]) -> Packed<&'a mut [R]> {
        let mut rest = packed;
        let [bias, w, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed] =
            self.packed_sizes().map(|size| rest.split_off_mut(..size).expect("a layer's packed weights have its size"));
        Packed { bias, w, u_zr, u_c, w_transposed, u_zr_transposed, u_c_transposed }
    }

    /// kernel, recurrent kernel, bias.
    fn split<'a, R>(&self, params: &'a [R]) -> (&'a [R], &'a [R], &'a [R]) {
        let (kernel, rest) = params.split_at(self.inputs * 3 * self.hidden);
        let (recurrent, bias) = rest.split_at(self.hidden * 3 * self.hidden);
        (kernel, recurrent, bias)
    }

    /// Lays the parameters out for the products.
    pub fn pack<R: Real>(&self, params: &[R], packed: &mut [R]) {
        let (i, h) = (self.multiplied(), self.hidden);
        let (kernel, recurrent, bias) = self.split(params);
        let packed = self.view_mut(packed);
        packed.bias[..3 * h].copy_from_slice(&bias[..3 * h]);
        if self.reset == Reset::After {
            packed.bias.iter_mut().zip(&bias[3 * h..5 * h]).for_each(|(sum, &b)| *sum += b);
        }
        pack(kernel, 3 * h, i, 3 * h, packed.w);
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
        tape.states.grow((extent.steps + 1) * rows * h);
        tape.gates.grow(extent.steps * rows * 3 * h);
        tape.aside.grow(extent.steps * rows * h);
        tape.scratch.grow(rows * h);
        if !tape.mask.is_empty() {
            tape.masked.grow(extent.steps * rows * h);
            tape.d_masked.grow(rows * h);
        }
        tape.from_zeros = true;
        for (row, state) in tape.states[..rows * h].chunks_exact_mut(h).enumerate() {
            match initial(row) {
                Some(values) => {
                    state.copy_from_slice(values);
                    tape.from_zeros = false;
                }
                None => state.fill(R::ZERO),
            }
        }
    }

    /// Runs all steps on `input` (T, B, I), or tokens (T, B). After step t, `impose` may replace its states (B, H) before the next one.
    pub fn forward<R: Real>(
        &self,
        params: &[R],
        packed: &[R],
        extent: Extent<'_>,
        input: Input<'_, R>,
        tape: &mut GruTape<R>,
        impose: impl Fn(usize, &mut [R]),
    ) {
        let (rows, i, h) = (extent.rows(), self.width(), self.hidden);
        let (kernel, _, bias) = self.split(params);
        let packed = self.view(packed);
        let (mut states, mut gates, mut aside) = (&mut tape.states[..], &mut tape.gates[..], &mut tape.aside[..]);
        let ahead = (AHEAD / (rows * 3 * h)).max(1);
        for t in 0..extent.steps {
            if t % ahead == 0 {
                let (rows, x) = (rows * ahead.min(extent.steps - t), &input.values[t * rows * i..]);
                let bias = &packed.bias[..3 * h];
                if self.one_hot {
                    let rows_of = Rows { kernel, stride: 3 * h, vocabulary: self.inputs };
                    rows_of.start(Input { values: &x[..rows], ..input }, bias, gates, 3 * h);
                } else {
                    let x = Term { left: x, stride: i, depth: i, packed: packed.w };
                    multiply(rows, 3 * h, Start::Bias(bias), &[x], gates, 3 * h);
                }
            }
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

            let h_zr = Term { left: seen, stride: h, depth: h, packed: packed.u_zr };
            let from_zeros = t == 0 && tape.from_zeros;
            if !from_zeros {
                multiply(rows, 2 * h, Start::Output, &[h_zr], gate, 3 * h);
            }
            match self.reset {
                Reset::Before => {
                    dispatch(ResetGate { layer: *self, gates: &mut *gate, seen, aside: &mut *aside_now });
                    let h_c = Term { left: &*aside_now, stride: h, depth: h, packed: packed.u_c };
                    if !from_zeros {
                        multiply(rows, h, Start::Output, &[h_c], &mut gate[2 * h..], 3 * h);
                    }
                }
                Reset::After if from_zeros => {
                    aside_now.chunks_exact_mut(h).for_each(|sums| sums.copy_from_slice(&bias[5 * h..]));
                }
                Reset::After => {
                    let h_c = Term { left: seen, stride: h, depth: h, packed: packed.u_c };
                    multiply(rows, h, Start::Bias(&bias[5 * h..]), &[h_c], aside_now, h);
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
    /// holds the gradient of the last state beside that, and then that of the first, unless that was zero and nobody keeps
    /// it. `gradients` gets those of the parameters.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<R: Real>(
        &self,
        packed: &[R],
        extent: Extent<'_>,
        input: Input<'_, R>,
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
            if t == 0 && tape.from_zeros && !tape.keep_d_first {
                if self.reset == Reset::Before {
                    gates.chunks_exact_mut(3 * h).for_each(|gates| gates[h..2 * h].fill(R::ZERO));
                }
                break;
            }
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
        // Tokens have no gradient.
        if let Some(d_input) = d_input.filter(|_| !self.one_hot) {
            let term = Term { left: &tape.gates, stride: 3 * h, depth: 3 * h, packed: packed.w_transposed };
            multiply(all, i, Start::Zero, &[term], d_input, i);
        }
        let inputs = Matrix { data: input.values, stride: i, columns: i };
        let d_gates = Matrix { data: &tape.gates, stride: 3 * h, columns: 3 * h };
        let (kernel, rest) = gradients.split_at_mut(i * 3 * h);
        let (recurrent, bias) = rest.split_at_mut(h * 3 * h);
        if self.one_hot {
            one_hot::outer_product(
                Input { values: &input.values[..all], ..input },
                &tape.gates[..all * 3 * h],
                3 * h,
                kernel,
            );
        } else {
            outer_product(all, inputs, d_gates, kernel, 3 * h);
        }
        sum_rows(all, d_gates, &mut bias[..3 * h]);
        let aside = Matrix { data: &tape.aside, stride: h, columns: h };
        if self.reset == Reset::After {
            bias.copy_within(..2 * h, 3 * h);
            sum_rows(all, aside, &mut bias[5 * h..]);
        }

        // A state of zeros adds nothing to the gradient of the recurrent kernel.
        let zeros = if tape.from_zeros { rows } else { 0 };
        if zeros == all {
            recurrent.fill(R::ZERO);
            return;
        }
        let states = if tape.mask.is_empty() { &tape.states } else { &tape.masked };
        let states = Matrix { data: &states[zeros * h..], stride: h, columns: h };
        let d_zr = Matrix { data: &tape.gates[zeros * 3 * h..], stride: 3 * h, columns: 2 * h };
        let d_c = Matrix { data: &tape.gates[zeros * 3 * h + 2 * h..], stride: 3 * h, columns: h };
        let aside = Matrix { data: &tape.aside[zeros * h..], stride: h, columns: h };
        outer_product(all - zeros, states, d_zr, recurrent, 3 * h);
        match self.reset {
            Reset::Before => outer_product(all - zeros, aside, d_c, &mut recurrent[2 * h..], 3 * h),
            Reset::After => outer_product(all - zeros, states, aside, &mut recurrent[2 * h..], 3 * h),
        }
    }
}

/// Grows a buffer; never shrinks it, so that it is allocated once.
pub(super) fn grow<R: Real>(buffer: &mut Vec<R>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, R::ZERO);
    }
}
