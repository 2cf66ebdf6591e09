//! The textbook loop, in plain Rust: the definition of every `f32` network's bits.

/// `sums[o] = bias[o] + Σ weights[o][i]·inputs[i]`.
///
/// `weights` is a matrix in blocks (see [the module](super)) of `sums.len()` outputs and `inputs.len()` inputs. Sums that
/// shorter weights do not reach stay as they are; a blob's lengths are checked when it is loaded.
pub fn product(mut weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    let rest = blocks::<16>(&mut weights, inputs, sums);
    narrow(weights, inputs, rest);
}

/// The blocks after those of 16, for fewer than 16 `sums`.
pub(super) fn narrow(mut weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    let rest = blocks::<8>(&mut weights, inputs, sums);
    let rest = blocks::<4>(&mut weights, inputs, rest);
    let rest = blocks::<2>(&mut weights, inputs, rest);
    blocks::<1>(&mut weights, inputs, rest);
}

/// As many blocks of width `W` as `sums` holds. Moves `weights` on, and gives back the sums that are left.
#[inline(always)]
fn blocks<'s, const W: usize>(weights: &mut &[f32], inputs: &[f32], sums: &'s mut [f32]) -> &'s mut [f32] {
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
                *sum += weight * input;
            }
        }
        *block = registers;
    }
    rest
}
