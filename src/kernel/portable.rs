//! The textbook loop, in plain Rust: the definition of every `f32` network's bits.

use super::Hot;

/// `sums[o] = bias[o] + Σ weights[o][i]·inputs[i]`.
///
/// `weights` is a matrix in blocks (see [the module](super)) of `sums.len()` outputs and `inputs.len()` inputs. Sums that
/// shorter weights do not reach stay as they are; a blob's lengths are checked when it is loaded.
#[inline]
pub fn product(weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    product_by(weights, None, inputs, sums, add_product);
}

/// `sums[o] = bias[o] + weights[o][token] + Σ weights[o][inputs + i]·operands[i]`.
///
/// The bits are those of [`product`] over the one-hot vector and then the `operands`, but for the sign of a zero: the products
/// left out are zeros, and that with 1 is the weight itself.
#[inline]
pub fn one_hot_product(weights: &[f32], hot: Hot, operands: &[f32], sums: &mut [f32]) {
    if hot.fits(weights.len()) {
        product_by(weights, Some(hot), operands, sums, add_product);
    }
}

/// What is added, and how: the product first, rounded.
#[inline(always)]
pub(super) fn add_product(sum: f32, weight: f32, input: f32) -> f32 {
    sum + weight * input
}

/// [`product`], or with `hot` inputs [`one_hot_product`], with another way to compute `sum + weight * input`.
#[inline(always)]
pub(super) fn product_by(
    mut weights: &[f32],
    hot: Option<Hot>,
    inputs: &[f32],
    sums: &mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let rest = blocks::<16>(&mut weights, hot, inputs, sums, add_product);
    narrow(weights, hot, inputs, rest, add_product);
}

/// The blocks after those of 16, for fewer than 16 `sums`.
#[inline(always)]
pub(super) fn narrow(
    mut weights: &[f32],
    hot: Option<Hot>,
    inputs: &[f32],
    sums: &mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let rest = blocks::<8>(&mut weights, hot, inputs, sums, add_product);
    let rest = blocks::<4>(&mut weights, hot, inputs, rest, add_product);
    let rest = blocks::<2>(&mut weights, hot, inputs, rest, add_product);
    blocks::<1>(&mut weights, hot, inputs, rest, add_product);
}

/// As many blocks of width `W` as `sums` holds. Moves `weights` on, and gives back the sums that are left.
#[inline(always)]
fn blocks<'s, const W: usize>(
    weights: &mut &[f32],
    hot: Option<Hot>,
    inputs: &[f32],
    sums: &'s mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32,
) -> &'s mut [f32] {
    let before = hot.map_or(0, |hot| hot.inputs);
    let stream = (1 + before + inputs.len()) * W;
    let (blocks, rest) = sums.as_chunks_mut::<W>();
    for block in blocks {
        let Some((stream, after)) = weights.split_at_checked(stream) else {
            break;
        };
        *weights = after;
        let Some((bias, columns)) = stream.as_chunks::<W>().0.split_first() else {
            break;
        };
        let mut registers = *bias;
        if let Some(column) = hot.and_then(|hot| columns.get(hot.token)) {
            for (sum, &weight) in registers.iter_mut().zip(column) {
                *sum = add_product(*sum, weight, 1.0);
            }
        }
        let columns = columns.get(before..).unwrap_or_default();
        for (column, &input) in columns.iter().zip(inputs) {
            for (sum, &weight) in registers.iter_mut().zip(column) {
                *sum = add_product(*sum, weight, input);
            }
        }
        *block = registers;
    }
    rest
}
