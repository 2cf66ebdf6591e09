//! A dense layer on a shard of a batch.

use grulet::spec::Activation;

use super::Real;
use super::gemm::{Matrix, Start, Term, multiply, outer_product, pack, pack_transposed, packed_len, sum_rows};
use super::one_hot::{self, Input, Rows};
use super::simd::{Isa, Kernel, dispatch};

/// A dense layer's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    pub inputs: usize,
    /// Whether its inputs are one-hot: one token stands for them.
    pub one_hot: bool,
    pub outputs: usize,
    pub activation: Activation,
}

impl Dense {
    /// Numbers that it takes at each step.
    pub fn width(&self) -> usize {
        if self.one_hot { 1 } else { self.inputs }
    }

    pub fn packed_len(&self) -> usize {
        if self.one_hot {
            return 0;
        }
        packed_len(self.inputs, self.outputs) + packed_len(self.outputs, self.inputs)
    }

    /// Lays the parameters out for the products.
    pub fn pack<R: Real>(&self, params: &[R], packed: &mut [R]) {
        if self.one_hot {
            return;
        }
        let (i, o) = (self.inputs, self.outputs);
        let (forward, transposed) = packed.split_at_mut(packed_len(i, o));
        pack(params, o, i, o, forward);
        pack_transposed(params, o, o, i, transposed);
    }

    /// The sums before the activation (rows, O), from `input` (rows, I), or tokens (rows).
    pub fn sums<R: Real>(&self, params: &[R], packed: &[R], rows: usize, input: Input<'_, R>, out: &mut [R]) {
        let (i, o) = (self.inputs, self.outputs);
        if self.one_hot {
            let rows_of = Rows { kernel: params, stride: o, vocabulary: i };
            return rows_of.start(Input { values: &input.values[..rows], ..input }, &params[i * o..], out, o);
        }
        let term = Term { left: input.values, stride: i, depth: i, packed: &packed[..packed_len(i, o)] };
        multiply(rows, o, Start::Bias(&params[i * o..]), &[term], out, o);
    }

    /// Activates sums (rows, O) in place.
    pub fn activate<R: Real>(&self, out: &mut [R]) {
        dispatch(Activate { layer: *self, out });
    }

    /// Turns the gradient of the outputs (rows, O) into that of the sums, in place.
    pub fn activation_gradient<R: Real>(&self, out: &[R], d: &mut [R]) {
        let slope = |y: R| match self.activation {
            Activation::Linear | Activation::Softmax => R::ONE,
            Activation::Sigmoid => y * (R::ONE - y),
            Activation::HardSigmoid if y > R::ZERO && y < R::ONE => R::from_f64(0.2),
            Activation::Relu if y > R::ZERO => R::ONE,
            Activation::HardSigmoid | Activation::Relu => R::ZERO,
            Activation::Tanh => R::ONE - y * y,
        };
        if self.activation == Activation::Softmax {
            for (d, out) in d.chunks_exact_mut(self.outputs).zip(out.chunks_exact(self.outputs)) {
                let mean = d.iter().zip(out).fold(R::ZERO, |sum, (&d, &y)| sum + d * y);
                d.iter_mut().zip(out).for_each(|(d, &y)| *d = y * (*d - mean));
            }
        } else {
            d.iter_mut().zip(out).for_each(|(d, &y)| *d *= slope(y));
        }
    }

    /// From the gradient of the sums (rows, O) to that of the parameters and of the inputs (rows, I).
    pub fn backward<R: Real>(
        &self,
        packed: &[R],
        rows: usize,
        input: Input<'_, R>,
        d_sums: &[R],
        d_input: Option<&mut [R]>,
        gradients: &mut [R],
    ) {
        let (i, o) = (self.inputs, self.outputs);
        let (kernel, bias) = gradients.split_at_mut(i * o);
        let right = Matrix { data: d_sums, stride: o, columns: o };
        if self.one_hot {
            // Tokens have no gradient.
            one_hot::outer_product(Input { values: &input.values[..rows], ..input }, d_sums, o, kernel);
            return sum_rows(rows, right, bias);
        }
        let left = Matrix { data: input.values, stride: i, columns: i };
        outer_product(rows, left, right, kernel, o);
        sum_rows(rows, right, bias);
        if let Some(d_input) = d_input {
            let term = Term { left: d_sums, stride: o, depth: o, packed: &packed[packed_len(i, o)..] };
            multiply(rows, i, Start::Zero, &[term], d_input, i);
        }
    }
}

struct Activate<'a, R> {
    layer: Dense,
    out: &'a mut [R],
}

impl<R: Real> Kernel for Activate<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        match self.layer.activation {
            Activation::Linear => {}
            Activation::Sigmoid => self.out.iter_mut().for_each(|y| *y = y.sigmoid()),
            Activation::HardSigmoid => self.out.iter_mut().for_each(|y| *y = y.hard_sigmoid()),
            Activation::Tanh => self.out.iter_mut().for_each(|y| *y = y.tanh()),
            Activation::Relu => self.out.iter_mut().for_each(|y| *y = y.at_least(R::ZERO)),
            Activation::Softmax => self.out.chunks_exact_mut(self.layer.outputs).for_each(softmax),
        }
    }
}

/// `e^xᵢ / Σ e^xⱼ` in place, from the largest `x` down so that nothing overflows.
#[inline(always)]
fn softmax<R: Real>(xs: &mut [R]) {
    let max = xs.iter().fold(xs[0], |max, &x| max.at_least(x));
    let mut sum = R::ZERO;
    for x in xs.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    xs.iter_mut().for_each(|x| *x /= sum);
}
