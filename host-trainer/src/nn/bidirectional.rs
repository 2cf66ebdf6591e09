//! A bidirectional layer on a shard of a batch: two GRUs, one of which takes every series from its end.

use grulet::spec::Merge;

use super::Real;
use super::gru::{Extent, Gru, GruTape, grow};
use super::one_hot::Input;

/// A bidirectional layer's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bidirectional {
    /// Each direction.
    pub gru: Gru,
    pub merge: Merge,
    /// Whether nothing but its output at the end of each series counts, which is that of the states that both directions end in.
    pub only_last: bool,
}

/// What a forward pass leaves for the way back.
#[derive(Debug, Default)]
pub(super) struct BidirectionalTape<R> {
    forward: GruTape<R>,
    /// Its steps are counted from the end of each series.
    backward: GruTape<R>,
    /// What the recurrent products see of both states: all of them where this is empty (B, 2H).
    pub mask: Vec<R>,
    /// Inputs in the order of the backward GRU (T, B, I).
    reversed: Vec<R>,
    /// Outputs (T, B, O), zeros in the padding.
    out: Vec<R>,
    /// Gradients by the two GRUs' states (T, B, H) each, and by the reversed inputs (T, B, I).
    d_forward: Vec<R>,
    d_backward: Vec<R>,
    d_reversed: Vec<R>,
    /// Gradient by a first state (B, H), which nobody asks for.
    d_state: Vec<R>,
}

impl<R: Real> BidirectionalTape<R> {
    /// The outputs (T, B, O).
    pub fn output(&self) -> &[R] {
        &self.out
    }
}

/// A direction's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl Bidirectional {
    pub fn outputs(&self) -> usize {
        if self.merge == Merge::Concat { 2 * self.gru.hidden } else { self.gru.hidden }
    }

    pub fn packed_len(&self) -> usize {
        2 * self.gru.packed_len()
    }

    /// Lays the parameters out for the products: the forward GRU's and then the backward one's.
    pub fn pack<R: Real>(&self, params: &[R], packed: &mut [R]) {
        let (forward, backward) = packed.split_at_mut(self.gru.packed_len());
        self.gru.pack(&params[..params.len() / 2], forward);
        self.gru.pack(&params[params.len() / 2..], backward);
    }

    /// The step of the backward GRU whose state is merged with that of the forward one at step `t` of a series.
    fn opposite(&self, t: usize, length: usize) -> usize {
        if self.only_last { t } else { length - 1 - t }
    }

    /// Runs both on `input` (T, B, I). `impose` may replace the states (B, H) that the direction has after its step t.
    pub fn forward<R: Real>(
        &self,
        params: &[R],
        packed: &[R],
        extent: Extent<'_>,
        input: Input<'_, R>,
        tape: &mut BidirectionalTape<R>,
        impose: impl Fn(Direction, usize, &mut [R]),
    ) {
        let (rows, gru) = (extent.rows(), self.gru);
        let BidirectionalTape { forward, backward, mask, reversed, out, .. } = tape;
        forward.mask.clear();
        backward.mask.clear();
        for mask in mask.chunks_exact(2 * gru.hidden) {
            let (of_forward, of_backward) = mask.split_at(gru.hidden);
            forward.mask.extend(of_forward);
            backward.mask.extend(of_backward);
        }
        let len = extent.steps * rows * gru.width();
        grow(reversed, len);
        reversed[..len].fill(R::ZERO);
        reverse(extent, gru.width(), input.values, |at, x| reversed[at..][..x.len()].copy_from_slice(x));

        let ((params_f, params_b), (packed_f, packed_b)) =
            (params.split_at(params.len() / 2), packed.split_at(packed.len() / 2));
        gru.begin(extent, forward, |_| None);
        gru.forward(params_f, packed_f, extent, input, forward, |t, h| impose(Direction::Forward, t, h));
        gru.begin(extent, backward, |_| None);
        let reversed = Input { values: reversed, ..input };
        gru.forward(params_b, packed_b, extent, reversed, backward, |t, h| impose(Direction::Backward, t, h));

        let width = self.outputs();
        let len = extent.steps * rows * width;
        grow(out, len);
        out[..len].fill(R::ZERO);
        let half = R::from_f64(0.5);
        self.sites(extent, forward, backward, |site, _, f, b| {
            let y = &mut out[site * width..][..width];
            if self.merge == Merge::Concat {
                y[..f.len()].copy_from_slice(f);
                y[f.len()..].copy_from_slice(b);
                return;
            }
            for ((y, &f), &b) in y.iter_mut().zip(f).zip(b) {
                *y = match self.merge {
                    Merge::Mul => f * b,
                    Merge::Ave => (f + b) * half,
                    Merge::Sum | Merge::Concat => f + b,
                };
            }
        });
    }

    /// Goes back from `d` (T, B, O), the gradient by the outputs, zero where a series has ended. `gradients` gets those
    /// of the parameters.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<R: Real>(
        &self,
        packed: &[R],
        extent: Extent<'_>,
        input: Input<'_, R>,
        tape: &mut BidirectionalTape<R>,
        d: &[R],
        d_input: Option<&mut [R]>,
        gradients: &mut [R],
    ) {
        // Tokens have no gradient.
        let mut d_input = d_input.filter(|_| !self.gru.one_hot);
        let (rows, gru, width) = (extent.rows(), self.gru, self.outputs());
        let BidirectionalTape { forward, backward, reversed, d_forward, d_backward, d_reversed, d_state, .. } = tape;
        let len = extent.steps * rows * gru.hidden;
        for d in [&mut *d_forward, &mut *d_backward] {
            grow(d, len);
            d[..len].fill(R::ZERO);
        }
        let half = R::from_f64(0.5);
        self.sites(extent, forward, backward, |site, opposite, f, b| {
            let h = f.len();
            let d = &d[site * width..][..width];
            let (d_f, d_b) = (&mut d_forward[site * h..][..h], &mut d_backward[opposite * h..][..h]);
            for j in 0..h {
                (d_f[j], d_b[j]) = match self.merge {
                    Merge::Concat => (d[j], d[h + j]),
                    Merge::Sum => (d[j], d[j]),
                    Merge::Mul => (d[j] * b[j], d[j] * f[j]),
                    Merge::Ave => (d[j] * half, d[j] * half),
                };
            }
        });

        let (packed_f, packed_b) = packed.split_at(packed.len() / 2);
        let (gradients_f, gradients_b) = gradients.split_at_mut(gradients.len() / 2);
        let states = rows * gru.hidden;
        grow(d_state, states);
        d_state[..states].fill(R::ZERO);
        gru.backward(
            packed_f,
            extent,
            input,
            forward,
            d_forward,
            &mut d_state[..states],
            d_input.as_deref_mut(),
            gradients_f,
        );
        d_state[..states].fill(R::ZERO);
        grow(d_reversed, extent.steps * rows * gru.width());
        let d_of_reversed = d_input.is_some().then_some(&mut d_reversed[..]);
        gru.backward(
            packed_b,
            extent,
            Input { values: reversed, ..input },
            backward,
            d_backward,
            &mut d_state[..states],
            d_of_reversed,
            gradients_b,
        );
        if let Some(d_input) = d_input {
            reverse(extent, gru.width(), d_reversed, |at, d| {
                d_input[at..][..d.len()].iter_mut().zip(d).for_each(|(sum, &d)| *sum += d);
            });
        }
    }

    /// Shows `site` each step of each series: its place, that of the backward GRU's step, and both states (H).
    fn sites<R: Real>(
        &self,
        extent: Extent<'_>,
        forward: &GruTape<R>,
        backward: &GruTape<R>,
        mut site: impl FnMut(usize, usize, &[R], &[R]),
    ) {
        let (rows, h) = (extent.rows(), self.gru.hidden);
        let len = extent.steps * rows * h;
        let (f, b) = (forward.output(rows, h, len), backward.output(rows, h, len));
        for (row, &length) in extent.lengths.iter().enumerate() {
            for t in 0..length {
                let (own, opposite) = (t * rows + row, self.opposite(t, length) * rows + row);
                site(own, opposite, &f[own * h..][..h], &b[opposite * h..][..h]);
            }
        }
    }
}

/// Shows `place` each step (width) of `values` (T, B, width) with where it starts when each series runs from its end.
fn reverse<R>(extent: Extent<'_>, width: usize, values: &[R], mut place: impl FnMut(usize, &[R])) {
    let rows = extent.rows();
    for (row, &length) in extent.lengths.iter().enumerate() {
        for t in 0..length {
            place(((length - 1 - t) * rows + row) * width, &values[(t * rows + row) * width..][..width]);
        }
    }
}
