//! What epochs are judged by.

use crate::config::Monitor;
use crate::evaluate::Scores;

impl Monitor {
    /// Its name among the scores.
    pub fn name(self) -> &'static str {
        match self {
            Monitor::Loss => "loss",
            Monitor::Accuracy => "accuracy",
        }
    }

    /// What it is in `scores`; not a number where it is not among them.
    pub fn of(self, scores: &Scores) -> f64 {
        match self {
            Monitor::Loss => scores.loss,
            Monitor::Accuracy => scores.accuracy.unwrap_or(f64::NAN),
        }
    }

    /// A value as something that should be low.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Monitor::Loss => value,
            Monitor::Accuracy => -value,
        }
    }

    /// Whether an epoch of this value is better than the best one until then.
    pub fn improves(self, value: f64, best: f64) -> bool {
        self.cost(value) < self.cost(best) || best.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_should_be_low_and_accuracies_high() {
        let (loss, accuracy) = (Monitor::Loss, Monitor::Accuracy);
        assert!(loss.improves(0.5, 0.75) && !loss.improves(0.75, 0.5) && !loss.improves(0.5, 0.5));
        assert!(accuracy.improves(0.75, 0.5) && !accuracy.improves(0.5, 0.75) && !accuracy.improves(0.5, 0.5));
        for monitor in [loss, accuracy] {
            assert!(monitor.improves(0.5, f64::NAN) && !monitor.improves(f64::NAN, 0.5));
        }
        let scores =
            Scores { loss: 0.25, accuracy: Some(0.75), sequence_accuracy: None, mae: None, mse: None, r2: None };
        assert_eq!([loss, accuracy].map(|monitor| monitor.of(&scores)), [0.25, 0.75]);
        assert!(accuracy.of(&Scores { accuracy: None, ..scores }).is_nan());
    }
}
