//! How large the numbers at one place of a network are.

/// A histogram of magnitudes by their upper 16 bits: exponent and 7 bits of the significand, so within 0.8 %.
#[derive(Clone, Debug)]
pub(super) struct Magnitudes {
    counts: Vec<u64>,
    total: u64,
    max: f32,
}

/// Bins for all finite `f32` that are not negative.
const BINS: usize = 0x7f80;

impl Magnitudes {
    pub fn new() -> Self {
        Self { counts: vec![0; BINS], total: 0, max: 0.0 }
    }

    /// Counts `x`. Zeros say nothing of a range: an idle ReLU gives nothing else.
    pub fn add(&mut self, x: f32) {
        let x = x.abs();
        if x > 0.0 && x.is_finite() {
            self.counts[(x.to_bits() >> 16) as usize] += 1;
            self.total += 1;
            self.max = self.max.max(x);
        }
    }

    /// A magnitude that `percent` of those above zero do not exceed, rounded up by at most 0.8 %; 0 if all are zero.
    pub fn percentile(&self, percent: f64) -> f32 {
        let wanted = (percent / 100.0 * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (bin, &count) in self.counts.iter().enumerate() {
            seen += count;
            if count > 0 && seen >= wanted {
                return f32::from_bits(((bin as u32) << 16) | 0xffff).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_distribution() {
        let mut magnitudes = Magnitudes::new();
        assert_eq!(magnitudes.percentile(50.0), 0.0);
        for i in 1..=10_000 {
            let x = i as f32 / 100.0;
            magnitudes.add(if i % 2 == 0 { x } else { -x });
            magnitudes.add(0.0);
            magnitudes.add(f32::NAN);
        }
        for percent in [1.0, 50.0, 99.0, 99.99] {
            let found = f64::from(magnitudes.percentile(percent));
            assert!(found >= percent && found <= 1.008 * percent, "{percent}: {found}");
        }
        assert_eq!(magnitudes.percentile(100.0), 100.0);

        // 60 % of three are more than one of them.
        let mut three = Magnitudes::new();
        [1.0, 2.0, 4.0].into_iter().for_each(|x| three.add(x));
        let found = three.percentile(60.0);
        assert!((2.0..2.02).contains(&found), "{found}");
    }
}
