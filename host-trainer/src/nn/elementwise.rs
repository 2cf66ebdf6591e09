//! What a GRU computes element by element, between its products: activations and the new state, and their gradients.
//!
//! Every kernel goes over the units once, sixteen at a time, so that nothing is written only to be read again. It copies
//! them to arrays first: slices may overlap for all that the compiler knows, and loops over five of them would not be
//! vectorised.

use grulet::spec::{Candidate, Gate, Reset};

use super::Real;
use super::gemm::PANEL;
use super::gru::Gru;
use super::simd::{Isa, Kernel};

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

/// Units that fill whole groups of sixteen; the others go one by one.
#[inline(always)]
fn whole(hidden: usize) -> usize {
    hidden / PANEL * PANEL
}

/// The groups of `N` from `from` on.
#[inline(always)]
fn groups<R, const N: usize>(values: &[R], from: usize) -> &[[R; N]] {
    values[from..].as_chunks().0
}

/// The same, to write to.
#[inline(always)]
fn groups_mut<R, const N: usize>(values: &mut [R], from: usize) -> &mut [[R; N]] {
    values[from..].as_chunks_mut().0
}

/// Reset before: activates r and sets aside r⊙h.
pub(super) struct ResetGate<'a, R> {
    pub layer: Gru,
    pub gates: &'a mut [R],
    /// The state, or what a mask leaves of it.
    pub seen: &'a [R],
    pub aside: &'a mut [R],
}

impl<R: Real> Kernel for ResetGate<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        // The activations are chosen out here: a choice per element keeps the loops from being vectorised.
        match self.layer.gate {
            Gate::Sigmoid => self.rows(R::sigmoid),
            Gate::HardSigmoid => self.rows(R::hard_sigmoid),
        }
    }
}

impl<R: Real> ResetGate<'_, R> {
    #[inline(always)]
    fn rows(self, gate: impl Fn(R) -> R) {
        let h = self.layer.hidden;
        let rows =
            self.gates.chunks_exact_mut(3 * h).zip(self.seen.chunks_exact(h)).zip(self.aside.chunks_exact_mut(h));
        for ((gates, seen), aside) in rows {
            let r = &mut gates[h..2 * h];
            Self::units::<PANEL>(0, &gate, r, seen, aside);
            Self::units::<1>(whole(h), &gate, r, seen, aside);
        }
    }

    #[inline(always)]
    fn units<const N: usize>(from: usize, gate: &impl Fn(R) -> R, r: &mut [R], seen: &[R], aside: &mut [R]) {
        let all =
            groups_mut::<R, N>(r, from).iter_mut().zip(groups::<R, N>(seen, from)).zip(groups_mut::<R, N>(aside, from));
        for ((r, seen), aside) in all {
            let (mut r_now, mut aside_now) = (*r, *seen);
            for n in 0..N {
                r_now[n] = gate(r_now[n]);
                aside_now[n] = r_now[n] * aside_now[n];
            }
            (*r, *aside) = (r_now, aside_now);
        }
    }
}

/// Activates z, for reset after r, and the candidate of one step, and updates the state.
pub(super) struct NewState<'a, R> {
    pub layer: Gru,
    pub lengths: &'a [usize],
    pub t: usize,
    pub gates: &'a mut [R],
    pub aside: &'a [R],
    pub state: &'a [R],
    pub next: &'a mut [R],
}

impl<R: Real> Kernel for NewState<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        match self.layer.gate {
            Gate::Sigmoid => self.choose_candidate(R::sigmoid),
            Gate::HardSigmoid => self.choose_candidate(R::hard_sigmoid),
        }
    }
}

impl<R: Real> NewState<'_, R> {
    #[inline(always)]
    fn choose_candidate(self, gate: impl Fn(R) -> R) {
        match self.layer.candidate {
            Candidate::Tanh => self.rows(gate, R::tanh),
            Candidate::Relu => self.rows(gate, |c| c.at_least(R::ZERO)),
            Candidate::Linear => self.rows(gate, |c| c),
        }
    }

    #[inline(always)]
    fn rows(self, gate: impl Fn(R) -> R, candidate: impl Fn(R) -> R) {
        let Gru { hidden: h, reset, .. } = self.layer;
        for (row, &length) in self.lengths.iter().enumerate() {
            let gates = &mut self.gates[row * 3 * h..][..3 * h];
            let aside = &self.aside[row * h..][..h];
            let state = &self.state[row * h..][..h];
            let next = &mut self.next[row * h..][..h];
            if self.t >= length {
                next.copy_from_slice(state);
                continue;
            }
            if reset == Reset::After {
                let (r, c) = gates[h..].split_at_mut(h);
                Self::reset_units::<PANEL>(0, &gate, r, c, aside);
                Self::reset_units::<1>(whole(h), &gate, r, c, aside);
            }
            let (z, rc) = gates.split_at_mut(h);
            let c = &mut rc[h..];
            Self::units::<PANEL>(0, &gate, &candidate, z, c, state, next);
            Self::units::<1>(whole(h), &gate, &candidate, z, c, state, next);
        }
    }

    #[inline(always)]
    fn reset_units<const N: usize>(from: usize, gate: &impl Fn(R) -> R, r: &mut [R], c: &mut [R], aside: &[R]) {
        let all =
            groups_mut::<R, N>(r, from).iter_mut().zip(groups_mut::<R, N>(c, from)).zip(groups::<R, N>(aside, from));
        for ((r, c), aside) in all {
            let (mut r_now, mut c_now) = (*r, *c);
            for n in 0..N {
                r_now[n] = gate(r_now[n]);
                c_now[n] += r_now[n] * aside[n];
            }
            (*r, *c) = (r_now, c_now);
        }
    }

    #[inline(always)]
    fn units<const N: usize>(
        from: usize,
        gate: &impl Fn(R) -> R,
        candidate: &impl Fn(R) -> R,
        z: &mut [R],
        c: &mut [R],
        state: &[R],
        next: &mut [R],
    ) {
        let all = groups_mut::<R, N>(z, from).iter_mut().zip(groups_mut::<R, N>(c, from));
        for (((z, c), state), next) in all.zip(groups::<R, N>(state, from)).zip(groups_mut::<R, N>(next, from)) {
            let (mut z_now, mut c_now, mut state) = (*z, *c, *state);
            for n in 0..N {
                z_now[n] = gate(z_now[n]);
                c_now[n] = candidate(c_now[n]);
                state[n] = (R::ONE - z_now[n]) * c_now[n] + z_now[n] * state[n];
            }
            (*z, *c, *next) = (z_now, c_now, state);
        }
    }
}

/// Takes the gradient of the state after a step to the gates' sums, and to the state before as far as it passes by the
/// update gate. For reset before, r is left to [`ResetGradient`].
pub(super) struct StateGradient<'a, R> {
    pub layer: Gru,
    pub lengths: &'a [usize],
    pub t: usize,
    pub gates: &'a mut [R],
    pub aside: &'a mut [R],
    pub state: &'a [R],
    pub d_output: &'a [R],
    pub d_state: &'a mut [R],
}

impl<R: Real> Kernel for StateGradient<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
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
            let slopes = (&gate_slope, &candidate_slope);
            Self::units::<PANEL>(0, slopes, z, c, state, d_output, d_state);
            Self::units::<1>(whole(h), slopes, z, c, state, d_output, d_state);
            if reset == Reset::After {
                Self::reset_units::<PANEL>(0, &gate_slope, r, c, aside);
                Self::reset_units::<1>(whole(h), &gate_slope, r, c, aside);
            }
        }
    }

    #[inline(always)]
    fn units<const N: usize>(
        from: usize,
        (gate_slope, candidate_slope): (&impl Fn(R) -> R, &impl Fn(R) -> R),
        z: &mut [R],
        c: &mut [R],
        state: &[R],
        d_output: &[R],
        d_state: &mut [R],
    ) {
        let all =
            groups_mut::<R, N>(z, from).iter_mut().zip(groups_mut::<R, N>(c, from)).zip(groups::<R, N>(state, from));
        for ((((z, c), state), d_output), d_state) in
            all.zip(groups::<R, N>(d_output, from)).zip(groups_mut::<R, N>(d_state, from))
        {
            let (mut z_now, mut c_now, mut d_now) = (*z, *c, *d_state);
            for n in 0..N {
                let d = d_now[n] + d_output[n];
                d_now[n] = d * z_now[n];
                let d_c = d * (R::ONE - z_now[n]) * candidate_slope(c_now[n]);
                z_now[n] = d * (state[n] - c_now[n]) * gate_slope(z_now[n]);
                c_now[n] = d_c;
            }
            (*z, *c, *d_state) = (z_now, c_now, d_now);
        }
    }

    #[inline(always)]
    fn reset_units<const N: usize>(from: usize, slope: &impl Fn(R) -> R, r: &mut [R], d_c: &[R], aside: &mut [R]) {
        let all =
            groups_mut::<R, N>(r, from).iter_mut().zip(groups::<R, N>(d_c, from)).zip(groups_mut::<R, N>(aside, from));
        for ((r, d_c), aside) in all {
            let (mut r_now, mut aside_now) = (*r, *aside);
            for n in 0..N {
                let d_r = d_c[n] * aside_now[n] * slope(r_now[n]);
                aside_now[n] = d_c[n] * r_now[n];
                r_now[n] = d_r;
            }
            (*r, *aside) = (r_now, aside_now);
        }
    }
}

/// Reset before: takes the gradient of r⊙h to the sum of r and to the state before.
pub(super) struct ResetGradient<'a, R> {
    pub layer: Gru,
    pub gates: &'a mut [R],
    pub seen: &'a [R],
    pub d_reset: &'a [R],
    pub d_seen: &'a mut [R],
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
    fn rows(self, slope: impl Fn(R) -> R) {
        let h = self.layer.hidden;
        for row in 0..self.seen.len() / h {
            let r = &mut self.gates[row * 3 * h + h..][..h];
            let seen = &self.seen[row * h..][..h];
            let d_reset = &self.d_reset[row * h..][..h];
            let d_seen = &mut self.d_seen[row * h..][..h];
            Self::units::<PANEL>(0, &slope, r, seen, d_reset, d_seen);
            Self::units::<1>(whole(h), &slope, r, seen, d_reset, d_seen);
        }
    }

    #[inline(always)]
    fn units<const N: usize>(
        from: usize,
        slope: &impl Fn(R) -> R,
        r: &mut [R],
        seen: &[R],
        d_reset: &[R],
        d_seen: &mut [R],
    ) {
        let all = groups_mut::<R, N>(r, from).iter_mut().zip(groups::<R, N>(seen, from));
        for (((r, seen), d_reset), d_seen) in
            all.zip(groups::<R, N>(d_reset, from)).zip(groups_mut::<R, N>(d_seen, from))
        {
            let (mut r_now, mut d_now) = (*r, *d_seen);
            for n in 0..N {
                d_now[n] += d_reset[n] * r_now[n];
                r_now[n] = d_reset[n] * seen[n] * slope(r_now[n]);
            }
            (*r, *d_seen) = (r_now, d_now);
        }
    }
}
