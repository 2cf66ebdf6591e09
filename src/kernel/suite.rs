//! What every kernel goes through on the core that it is for: all sizes, random and extreme values, against the portable
//! one, to the bit. Not a test module, because firmware calls it.

use super::{Hot, int8, one_hot_product, portable, product};
use crate::cast::Aligned;

/// Where a kernel differs from the portable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Outputs of the product.
    pub outputs: usize,
    /// Its inputs.
    pub inputs: usize,
    /// The first output that differs.
    pub output: usize,
}

/// Xorshift: Marsaglia, Journal of Statistical Software 8(14), 2003.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

/// The `f32` kernel, for up to `N` outputs and inputs each. `M` is `N·(N + 1)`. Gives the number of products compared.
pub fn float<const N: usize, const M: usize>() -> Result<usize, Difference> {
    const SPECIAL: [f32; 8] = [0.0, -0.0, 1e-40, -1e-40, 1.0, -3e38, 1e-20, 16_777_217.0];
    let (mut random, mut weights, mut inputs) = (Random(1), [0.0; M], [0.0; N]);
    let mut number = |special: bool| {
        let bits = random.next();
        if special && bits & 7 == 0 {
            SPECIAL[(bits >> 3) as usize % SPECIAL.len()]
        } else {
            (bits as i32 >> 8) as f32 / 4_000_000.0
        }
    };
    let mut count = 0;
    for outputs in 1..=N {
        for columns in 0..=N {
            let special = count % 2 == 1;
            weights.fill_with(|| number(special));
            inputs.fill_with(|| number(special));
            let (mut expected, mut found) = ([0.0; N], [1.0; N]);
            let length = outputs * (1 + columns);
            let (weights, inputs) = (&weights[..length], &inputs[..columns]);
            portable::product(weights, inputs, &mut expected[..outputs]);
            product(weights, inputs, &mut found[..outputs]);
            let differs = |o: &usize| expected[*o].to_bits() != found[*o].to_bits();
            if let Some(output) = (0..outputs).find(differs) {
                return Err(Difference { outputs, inputs: columns, output });
            }
            count += 1;
            // The same weights after a one-hot input of some of the columns.
            let hot = Hot { inputs: columns / 3, token: columns % 7 };
            if hot.token < hot.inputs {
                let operands = &inputs[hot.inputs..];
                portable::one_hot_product(weights, hot, operands, &mut expected[..outputs]);
                one_hot_product(weights, hot, operands, &mut found[..outputs]);
                let differs = |o: &usize| expected[*o].to_bits() != found[*o].to_bits();
                if let Some(output) = (0..outputs).find(differs) {
                    return Err(Difference { outputs, inputs: columns, output });
                }
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Both kernels with `N` weights, fewer than a one-hot input of that many elements asks for: the sums of whole blocks stay as they
/// are. Generic, as all of the suite, so that kernels are compiled where they are used.
pub fn too_few<const N: usize>() -> Result<usize, Difference> {
    let (weights, words, mut count) = ([1.0; N], [1i32; N], 0);
    for inputs in [usize::MAX, usize::MAX / 4 + 1, usize::MAX / 16 + 1, usize::MAX / 64 + 1, 1 << 20] {
        let hot = Hot { inputs, token: 1 };
        let (mut float, mut integer) = ([-1.0; 32], [-1; 32]);
        one_hot_product(&weights, hot, &[], &mut float);
        int8::one_hot_product(&words, hot, &[1, 1], &mut integer);
        let changed = (0..32).find(|&output| float[output] != -1.0 || integer[output] != -1);
        if let Some(output) = changed {
            return Err(Difference { outputs: 32, inputs, output });
        }
        count += 1;
    }
    Ok(count)
}

/// The integer kernel, for up to `N` outputs and inputs each. `M` is `(N/4 + 1)·(N + 10)`. Gives the number of products compared.
pub fn integer<const N: usize, const M: usize>() -> Result<usize, Difference> {
    let (mut random, mut matrix) = (Random(2), [0i32; M]);
    let mut operands = Aligned([0i16; N]);
    let mut count = 0;
    for outputs in 1..=N {
        for pairs in 0..=N / 2 {
            let extreme = count % 3;
            let words = int8::block_words(pairs as u64) as usize;
            let length = outputs.div_ceil(int8::ROWS) * words;
            for (i, word) in matrix[..length].iter_mut().enumerate() {
                let bits = random.next();
                *word = if i % words >= words - 2 * int8::ROWS {
                    // Biases and multipliers: any.
                    bits as i32
                } else {
                    // Two halves of 256·a + b, both weights within ±127: random, all the largest, or of either sign.
                    let weight = |shift: u32| match extreme {
                        0 => (bits >> shift & 255) as i32 % 255 - 127,
                        1 => -127,
                        _ => 127 - 254 * (bits >> shift & 1) as i32,
                    };
                    let half = |shift| 256 * weight(shift) + weight(shift + 8);
                    half(0) & 0xffff | half(16) << 16
                };
            }
            operands.0.fill_with(|| match extreme {
                1 => i16::MIN,
                _ => random.next() as i16,
            });
            // Also from an address that only a portable loop can read.
            for start in [0, 1] {
                let Some(operands) = operands.0.get(start..start + 2 * pairs) else {
                    continue;
                };
                let (mut expected, mut found) = ([0; N], [1; N]);
                int8::portable::product(&matrix[..length], operands, &mut expected[..outputs]);
                int8::product(&matrix[..length], operands, &mut found[..outputs]);
                if let Some(output) = (0..outputs).find(|&o| expected[o] != found[o]) {
                    return Err(Difference { outputs, inputs: 2 * pairs, output });
                }
                count += 1;
                let hot = Hot { inputs: (pairs / 3 * 2).saturating_sub(pairs % 2), token: pairs % 7 };
                let rest = operands.get(hot.inputs.next_multiple_of(2)..);
                if let (Some(operands), true) = (rest, hot.token < hot.inputs) {
                    int8::portable::one_hot_product(&matrix[..length], hot, operands, &mut expected[..outputs]);
                    int8::one_hot_product(&matrix[..length], hot, operands, &mut found[..outputs]);
                    if let Some(output) = (0..outputs).find(|&o| expected[o] != found[o]) {
                        return Err(Difference { outputs, inputs: 2 * pairs, output });
                    }
                    count += 1;
                }
            }
        }
    }
    Ok(count)
}

/// The integer kernel on sums near the end of 32 bits, which only long rows reach. Gives the number of products compared.
pub fn large_sums() -> Result<usize, Difference> {
    const OPERANDS: usize = 512;
    // 512 products of 127 · 32,768 are 2³¹ less a 128th: no sum may be larger.
    let mut matrix = [0i32; int8::block_words(OPERANDS as u64 / 2) as usize];
    let mut count = 0;
    for (a, b) in [(127, 127), (-127, 127), (127, -127), (-127, -127), (0, 127), (1, -127)] {
        for operand in [i16::MIN, i16::MAX] {
            let half = (256 * a + b) & 0xffff;
            let (weights, constants) = matrix.split_at_mut(OPERANDS);
            weights.fill(half | half << 16);
            constants.copy_from_slice(&[1, -1, 1 << 30, 0, i32::MAX, 1 << 30, 3, -(1 << 30)]);
            let operands = Aligned([operand; OPERANDS]);
            let (mut expected, mut found) = ([0; int8::ROWS], [1; int8::ROWS]);
            int8::portable::product(&matrix, &operands.0, &mut expected);
            int8::product(&matrix, &operands.0, &mut found);
            if let Some(output) = (0..int8::ROWS).find(|&o| expected[o] != found[o]) {
                return Err(Difference { outputs: int8::ROWS, inputs: OPERANDS, output });
            }
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    #[test]
    fn kernels_give_the_portable_bits() {
        assert!(super::float::<64, { 64 * 65 }>().unwrap() > 4000);
        assert!(super::integer::<64, { 17 * 74 }>().unwrap() > 4000);
        assert_eq!(super::large_sums(), Ok(12));
    }

    /// The portable loops themselves, against sums over a plain matrix.
    #[test]
    fn an_integer_product_is_the_sum_of_its_products() {
        // Rows (1, -2, 3), (-4, 5, -6), (127, -127, 0), (-127, 127, -127), (7, 7, 7); the fourth operand is filler.
        let word = |a: [i32; 2], b: [i32; 2]| (256 * a[0] + b[0]) & 0xffff | (256 * a[1] + b[1]) << 16;
        let quarter = 1 << 30;
        let matrix = [
            [word([1, -2], [-4, 5]), word([127, -127], [-127, 127])],
            [word([3, 0], [-6, 0]), word([0, 0], [-127, 0])],
            [10, 20],
            [30, 40],
            [quarter, quarter],
            [quarter, -quarter],
            [word([7, 7], [0, 0]), 0],
            [word([7, 0], [0, 0]), 0],
            [-1, 0],
            [0, 0],
            [i32::MAX, 0],
            [0, 0],
        ];
        let mut sums = [0; 5];
        crate::kernel::int8::portable::product(matrix.as_flattened(), &[1000, -2000, 32767, 5], &mut sums);
        let products = [1000 + 4000 + 98_301, -4000 - 10_000 - 196_602, 381_000, -381_000 - 127 * 32_767, 7 * 31_767];
        // To the nearest, ties up, of a quarter; of minus a quarter; and of nearly a half.
        let expected = [
            10 + (products[0] + 2i32).div_euclid(4),
            20 + (products[1] + 2).div_euclid(4),
            30 + (products[2] + 2).div_euclid(4),
            40 + (-products[3] + 2).div_euclid(4),
            -1 + products[4] / 2,
        ];
        assert_eq!(sums, expected);
    }
}
