//! How long a loss may go without improving.

/// Counts epochs without improvement, as Keras's `EarlyStopping` and `ReduceLROnPlateau` do.
///
/// A loss improves where it is below the best one by more than `min_delta`; then it is the best.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    epochs: usize,
    min_delta: f64,
    best: f64,
    waited: usize,
}

impl Patience {
    /// That ends after so many epochs in a row without improvement.
    pub fn new(epochs: usize, min_delta: f64) -> Self {
        Self { epochs, min_delta, best: f64::INFINITY, waited: 0 }
    }

    /// Takes the loss of the next epoch; whether patience ends with it. It begins anew then.
    pub fn ends(&mut self, loss: f64) -> bool {
        if loss < self.best - self.min_delta {
            (self.best, self.waited) = (loss, 0);
            return false;
        }
        self.waited += 1;
        let ends = self.waited >= self.epochs;
        if ends {
            self.waited = 0;
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The epochs, from 1, with which patience ends.
    fn ends(epochs: usize, min_delta: f64, losses: &[f64]) -> Vec<usize> {
        let mut patience = Patience::new(epochs, min_delta);
        (1..).zip(losses).filter(|(_, loss)| patience.ends(**loss)).map(|(epoch, _)| epoch).collect()
    }

    #[test]
    fn it_ends_after_so_many_epochs_in_a_row_and_begins_anew() {
        // The best is that of epoch 3; an equal loss is no improvement; epoch 8 improves, just in time.
        let losses = [1.0, 0.8, 0.5, 0.6, 0.5, 0.7, 0.55, 0.4, 0.9, 0.9, 0.9];
        assert!(ends(5, 0.0, &losses).is_empty());
        assert_eq!(ends(4, 0.0, &losses), [7]);
        assert_eq!(ends(3, 0.0, &losses), [6, 11]);
        assert_eq!(ends(2, 0.0, &losses), [5, 7, 10]);
        assert_eq!(ends(1, 0.0, &losses), [4, 5, 6, 7, 9, 10, 11]);
    }

    #[test]
    fn small_steps_add_up_from_the_best_and_are_no_improvement_each() {
        // Powers of two, so that nothing is rounded: against the best, 1, only epoch 4 is lower by more than 0.25.
        let losses = [1.0, 0.875, 0.75, 0.625, 0.5, 0.5];
        assert_eq!(ends(2, 0.25, &losses), [3, 6]);
        assert!(ends(3, 0.25, &losses).is_empty());
        assert!(ends(2, 0.0, &losses).is_empty());
    }

    #[test]
    fn a_loss_that_is_not_a_number_is_no_improvement() {
        assert_eq!(ends(2, 0.0, &[f64::NAN, 1.0, f64::NAN, f64::INFINITY, 0.5]), [4]);
    }
}
