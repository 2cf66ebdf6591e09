//! The textbook loop, in plain Rust: the definition of every `f32` network's bits.

/// `sums[o] = bias[o] + Σ weights[o][i]·inputs[i]`.
///
/// `weights` is a matrix in blocks (see [the module](super)) of `sums.len()` outputs and `inputs.len()` inputs. Sums that
/// shorter weights do not reach stay as they are; a blob's lengths are checked when it is loaded.
#[inline]
pub fn product(weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    product_by(weights, inputs, sums, add_product);
}

/// What is added, and how: the product first, rounded.
#[inline(always)]
pub(super) fn add_product(sum: f32, weight: f32, input: f32) -> f32 {
    sum + weight * input
}

/// [`product`] with another way to compute `sum + weight * input`.
#[inline(always)]
pub(super) fn product_by(
    mut weights: &[f32],
    inputs: &[f32],
    sums: &mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let rest = blocks::<16>(&mut weights, inputs, sums, add_product);
    narrow(weights, inputs, rest, add_product);
}

/// The blocks after those of 16, for fewer than 16 `sums`.
#[inline(always)]
pub(super) fn narrow(
    mut weights: &[f32],
    inputs: &[f32],
    sums: &mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let rest = blocks::<8>(&mut weights, inputs, sums, add_product);
    let rest = blocks::<4>(&mut weights, inputs, rest, add_product);
    let rest = blocks::<2>(&mut weights, inputs, rest, add_product);
    blocks::<1>(&mut weights, inputs, rest, add_product);
}

/// As many blocks of width `W` as `sums` holds. Moves `weights` on, and gives back the sums that are left.
#[inline(always)]
fn blocks<'s, const W: usize>(
    weights: &mut &[f32],
    inputs: &[f32],
    sums: &'s mut [f32],
    add_product: impl Fn(f32, f32, f32) -> f32,
) -> &'s mut [f32] {
    let stream = (1 + inputs.len()) * W;
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
        for (column, &input) in columns.iter().zip(inputs) {
            for (sum, &weight) in registers.iter_mut().zip(column) {
                *sum = add_product(*sum, weight, input);
            }
        }
        *block = registers;
    }
    rest
}
