//! What training does to its layers by chance, so that the network does not learn the examples by heart.

use super::{Error, Real, Rng};

/// Dropout and label smoothing; in [`Trainer::gradient`](super::Trainer::gradient) alone, never where a network is
/// scored.
///
/// Masks are those of variational dropout (Gal and Ghahramani 2016): drawn once for a series or window, the same at all its steps, what
/// is left divided by `1 - rate`. They depend on the seed, the number of the batch and the place in it: not on threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regularization {
    /// The seed of all that is drawn.
    pub seed: u64,
    /// For each layer, which part of its inputs is dropped; none where the list ends. Tokens are not dropped, but one-hot vectors
    /// that they stand for are.
    pub dropout: Vec<f64>,
    /// For each GRU, which part of its state is dropped in the products with the recurrent kernel (what the update gate
    /// keeps is not touched); none where the list ends.
    pub recurrent_dropout: Vec<f64>,
    /// Targets of a cross-entropy are moved by this part towards equal probabilities, as Keras does.
    pub label_smoothing: f64,
}

/// What is drawn for a layer.
#[derive(Clone, Copy)]
pub(super) enum Mask {
    Inputs,
    State,
}

impl Regularization {
    /// Checks the rates.
    pub(super) fn check(&self) -> Result<(), Error> {
        let rates = self.dropout.iter().chain(&self.recurrent_dropout).chain([&self.label_smoothing]);
        if let Some(&found) = rates.into_iter().find(|rate| !(0.0..1.0).contains(*rate)) {
            return Err(Error::Rate { found });
        }
        Ok(())
    }
}

/// The regularisation of one batch.
#[derive(Clone, Copy)]
pub(super) struct Draw<'a> {
    pub regularization: &'a Regularization,
    /// Number of the batch, over all epochs.
    pub batch: u64,
}

impl Draw<'_> {
    /// The rate of a mask.
    pub fn rate(&self, mask: Mask, layer: usize) -> f64 {
        let rates = match mask {
            Mask::Inputs => &self.regularization.dropout,
            Mask::State => &self.regularization.recurrent_dropout,
        };
        rates.get(layer).copied().unwrap_or(0.0)
    }

    /// A generator for one series of the batch; no two of a run are the same.
    fn rng(&self, row: usize, what: u64) -> Rng {
        Rng::new(self.regularization.seed, 1 << 63 | self.batch << 28 | (row as u64) << 8 | what)
    }

    /// Draws masks (rows, width) for the series from `first` on; `layer` is its [`Layer::number`](super::plan::Layer).
    pub fn mask<R: Real>(&self, rate: f64, mask: Mask, layer: usize, first: usize, width: usize, values: &mut [R]) {
        let kept = R::from_f64(1.0 / (1.0 - rate));
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            let mut rng = self.rng(first + row, 2 * layer as u64 + mask as u64);
            values.fill_with(|| if rng.uniform() < rate { R::ZERO } else { kept });
        }
    }
}

/// Multiplies values (steps, rows, width) by a mask (rows, width).
pub(super) fn apply<R: Real>(mask: &[R], values: &mut [R]) {
    for step in values.chunks_exact_mut(mask.len()) {
        step.iter_mut().zip(mask).for_each(|(value, &mask)| *value *= mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(regularization: &Regularization, batch: u64) -> Draw<'_> {
        Draw { regularization, batch }
    }

    #[test]
    fn a_mask_keeps_the_mean_and_drops_its_part() {
        let rates = Regularization { seed: 3, dropout: vec![0.0, 0.25], ..Regularization::default() };
        let mut mask = vec![0.0; 100 * 400];
        draw(&rates, 7).mask(0.25, Mask::Inputs, 1, 0, 400, &mut mask);
        let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64;
        // Five standard deviations.
        assert!((dropped - 10_000.0).abs() < 5.0 * libm::sqrt(40_000.0 * 0.25 * 0.75), "{dropped}");
        assert!(mask.iter().all(|&m| m == 0.0 || m == 4.0 / 3.0));
    }

    #[test]
    fn what_is_drawn_depends_on_seed_batch_series_layer_and_kind_alone() {
        let rates = |seed| Regularization {
            seed,
            dropout: vec![0.5; 2],
            recurrent_dropout: vec![0.5; 2],
            ..Default::default()
        };
        let (one, two) = (rates(1), rates(2));
        let mask = |rates, batch, kind, layer, first: usize, rows: usize| {
            let mut mask = vec![0f32; rows * 64];
            draw(rates, batch).mask(0.5, kind, layer, first, 64, &mut mask);
            mask
        };
        let all = mask(&one, 5, Mask::Inputs, 0, 0, 4);
        assert_eq!(mask(&one, 5, Mask::Inputs, 0, 2, 2), all[128..]);
        let others = [
            mask(&two, 5, Mask::Inputs, 0, 0, 1),
            mask(&one, 6, Mask::Inputs, 0, 0, 1),
            mask(&one, 5, Mask::State, 0, 0, 1),
            mask(&one, 5, Mask::Inputs, 1, 0, 1),
            mask(&one, 5, Mask::Inputs, 0, 1, 1),
        ];
        for other in others {
            assert_ne!(other, all[..64]);
        }
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        for rate in [-0.1, 1.0, f64::NAN] {
            assert!(Regularization { dropout: vec![0.1, rate], ..Default::default() }.check().is_err());
            assert!(Regularization { recurrent_dropout: vec![rate], ..Default::default() }.check().is_err());
            assert!(Regularization { label_smoothing: rate, ..Default::default() }.check().is_err());
        }
        assert!(Regularization { dropout: vec![0.0, 0.9], ..Default::default() }.check().is_ok());
    }
}
