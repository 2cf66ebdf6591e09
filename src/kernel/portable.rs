//! The textbook loop, in plain Rust: the definition of every `f32` network's bits.

/// `sums[o] = bias[o] + Σ weights[o][i]·[x; h][i]`.
///
/// `weights` is a matrix in blocks (see [the module](super)) of `sums.len()` outputs and `x.len() + h.len()` inputs. Sums
/// that shorter weights do not reach stay as they are; a blob's lengths are checked when it is loaded.
pub fn product(mut weights: &[f32], x: &[f32], h: &[f32], sums: &mut [f32]) {
    let rest = blocks::<16>(&mut weights, x, h, sums);
    let rest = blocks::<8>(&mut weights, x, h, rest);
    let rest = blocks::<4>(&mut weights, x, h, rest);
    let rest = blocks::<2>(&mut weights, x, h, rest);
    blocks::<1>(&mut weights, x, h, rest);
}

/// As many blocks of width `W` as `sums` holds. Moves `weights` on, and gives back the sums that are left.
#[inline(always)]
fn blocks<'s, const W: usize>(weights: &mut &[f32], x: &[f32], h: &[f32], sums: &'s mut [f32]) -> &'s mut [f32] {
    let stream = (1 + x.len() + h.len()) * W;
    let (blocks, rest) = sums.as_chunks_mut::<W>();
    for block in blocks {
        let Some((stream, after)) = weights.split_at_checked(stream) else {
            break;
        };
        *weights = after;
        let Some((bias, columns)) = stream.as_chunks::<W>().0.split_first() else {
            break;
        };
        let Some((of_x, of_h)) = columns.split_at_checked(x.len()) else {
            break;
        };
        *block = *bias;
        add::<W>(of_x, x, block);
        add::<W>(of_h, h, block);
    }
    rest
}

/// `sums += Σ columns[i]·inputs[i]`, in index order.
#[inline(always)]
fn add<const W: usize>(columns: &[[f32; W]], inputs: &[f32], sums: &mut [f32; W]) {
    let mut registers = *sums;
    for (column, &input) in columns.iter().zip(inputs) {
        for (sum, &weight) in registers.iter_mut().zip(column) {
            *sum += weight * input;
        }
    }
    *sums = registers;
}
