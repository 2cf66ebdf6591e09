//! The learning rate of every step, as `train.schedule` says.

use super::RunError;
use super::patience::Patience;
use crate::config::{self, TrainConfig};

/// The learning rate; it changes from step to step, or from epoch to epoch.
#[derive(Clone, Debug)]
pub(super) struct LearningRate {
    schedule: Schedule,
    /// That of the first step; with a warm-up the highest; on plateaus the present one.
    rate: f64,
}

/// [`config::Schedule`] with its numbers, in steps.
#[derive(Clone, Debug)]
enum Schedule {
    Constant,
    /// `rate·factor^⌊step/every⌋`: Keras's `ExponentialDecay` with `staircase`.
    Step {
        factor: f64,
        every: usize,
    },
    /// `rate·step/warmup`, and then `rate·(1 + cos(π·(step - warmup)/(steps - warmup)))/2`: Keras's `CosineDecay`, from 0
    /// to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine {
        warmup: usize,
        steps: usize,
    },
    /// The rate times `factor`, and at least `minimum`, wherever patience ends: Keras's `ReduceLROnPlateau`.
    Plateau {
        factor: f64,
        minimum: f64,
        patience: Patience,
    },
}

impl LearningRate {
    /// For `train.epochs` epochs of `per_epoch` steps.
    ///
    /// # Errors
    /// Where the warm-up takes all steps.
    pub fn new(train: &TrainConfig, per_epoch: usize) -> Result<Self, RunError> {
        let factor = train.schedule_factor.unwrap_or(config::SCHEDULE_FACTOR);
        let schedule = match train.schedule {
            config::Schedule::Constant => Schedule::Constant,
            config::Schedule::Step => {
                let every = train.schedule_every.unwrap_or(config::SCHEDULE_EVERY);
                Schedule::Step { factor, every: every.saturating_mul(per_epoch) }
            }
            config::Schedule::Cosine => {
                let (warmup, epochs, steps) =
                    (train.warmup_steps, train.epochs, train.epochs.saturating_mul(per_epoch));
                if warmup >= steps {
                    return Err(RunError::WarmUp { warmup, steps, epochs, per_epoch });
                }
                Schedule::Cosine { warmup, steps }
            }
            config::Schedule::Plateau => {
                let patience = train.schedule_patience.unwrap_or(config::SCHEDULE_PATIENCE);
                let patience = Patience::new(patience, train.min_delta);
                Schedule::Plateau { factor, minimum: train.schedule_minimum, patience }
            }
        };
        Ok(Self { schedule, rate: train.learning_rate })
    }

    /// The learning rate of a step, counted from 0 over all epochs.
    pub fn of(&self, step: usize) -> f64 {
        match self.schedule {
            Schedule::Constant | Schedule::Plateau { .. } => self.rate,
            Schedule::Step { factor, every } => self.rate * libm::pow(factor, (step / every) as f64),
            Schedule::Cosine { warmup, .. } if step < warmup => self.rate * (step as f64 / warmup as f64),
            Schedule::Cosine { warmup, steps } => {
                let progress = (step - warmup) as f64 / (steps - warmup) as f64;
                self.rate * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress))
            }
        }
    }

    /// Takes what is watched, and should be low, at the end of an epoch.
    pub fn epoch_ends(&mut self, loss: f64) {
        if let Schedule::Plateau { factor, minimum, patience } = &mut self.schedule
            && patience.ends(loss)
        {
            self.rate = (self.rate * *factor).max(*minimum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a peak of 0.8 over 6 epochs of 2 steps.
    fn train(schedule: config::Schedule) -> TrainConfig {
        TrainConfig { epochs: 6, learning_rate: 0.8, schedule, ..TrainConfig::new(config::Loss::Mse) }
    }

    #[track_caller]
    fn rates(train: &TrainConfig, expected: [f64; 12]) {
        let rate = LearningRate::new(train, 2).unwrap();
        for (step, expected) in expected.into_iter().enumerate() {
            assert!((rate.of(step) - expected).abs() < 1e-15, "step {step}: {} but {expected}", rate.of(step));
        }
    }

    #[test]
    fn more_epochs_than_can_be_counted_have_no_end() {
        let step = TrainConfig { schedule_every: Some(usize::MAX / 2 + 1), ..train(config::Schedule::Step) };
        rates(&step, [0.8; 12]);
        let cosine = TrainConfig { epochs: usize::MAX / 2 + 1, ..train(config::Schedule::Cosine) };
        rates(&cosine, [0.8; 12]);
    }

    #[test]
    fn constant_stays() {
        rates(&train(config::Schedule::Constant), [0.8; 12]);
    }

    #[test]
    fn step_falls_every_few_epochs() {
        let step = TrainConfig { schedule_every: Some(2), ..train(config::Schedule::Step) };
        let half = TrainConfig { schedule_factor: Some(0.5), ..step.clone() };
        rates(&half, [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2]);
        rates(&step, [0.8, 0.8, 0.8, 0.8, 0.08, 0.08, 0.08, 0.08, 0.008, 0.008, 0.008, 0.008]);
    }

    /// cos(π/12), cos(π/6) and so on are roots.
    #[test]
    fn cosine_falls_to_0_behind_the_last_step() {
        let (root_2, root_3, root_6) = (2f64.sqrt(), 3f64.sqrt(), 6f64.sqrt());
        let cosines = [1.0, (root_6 + root_2) / 4.0, root_3 / 2.0, root_2 / 2.0, 0.5, (root_6 - root_2) / 4.0];
        let mut expected = [0.4; 12];
        for (step, cosine) in cosines.into_iter().enumerate() {
            expected[step] += 0.4 * cosine;
            // The second half falls as the first does.
            if step > 0 {
                expected[12 - step] -= 0.4 * cosine;
            }
        }
        rates(&train(config::Schedule::Cosine), expected);
    }

    #[test]
    fn cosine_warms_up_from_0_on_a_line() {
        let warm = TrainConfig { warmup_steps: 4, ..train(config::Schedule::Cosine) };
        let (an_eighth, quarter) = ((2.0 + 2f64.sqrt()).sqrt() / 2.0, 2f64.sqrt() / 2.0);
        let three = (2.0 - 2f64.sqrt()).sqrt() / 2.0;
        let cosines = [1.0, an_eighth, quarter, three, 0.0, -three, -quarter, -an_eighth];
        let mut expected = [0.0, 0.2, 0.4, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        expected[4..].copy_from_slice(&cosines.map(|cosine| 0.4 + 0.4 * cosine));
        rates(&warm, expected);
    }

    #[test]
    fn a_warm_up_of_all_steps_is_refused() {
        let warm = |warmup_steps| TrainConfig { warmup_steps, ..train(config::Schedule::Cosine) };
        assert!(LearningRate::new(&warm(11), 2).is_ok());
        let error = LearningRate::new(&warm(12), 2).unwrap_err().to_string();
        assert!(error.contains("is 12") && error.contains("6 epochs of 2") && error.contains("lower it"), "{error}");
    }

    #[test]
    fn plateau_falls_where_the_loss_does_not() {
        let plateau = TrainConfig {
            schedule_factor: Some(0.25),
            schedule_patience: Some(2),
            schedule_minimum: 0.02,
            min_delta: 0.125,
            ..train(config::Schedule::Plateau)
        };
        let mut rate = LearningRate::new(&plateau, 2).unwrap();
        // Epoch 3 improves by too little, as does 5 on epoch 4; the last fall would go below the minimum.
        let losses = [1.0, 1.5, 0.875, 0.5, 0.375, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25];
        let expected = [0.8, 0.8, 0.8, 0.2, 0.2, 0.2, 0.05, 0.05, 0.02, 0.02, 0.02];
        for (epoch, (loss, expected)) in losses.into_iter().zip(expected).enumerate() {
            for step in [2 * epoch, 2 * epoch + 1] {
                assert!((rate.of(step) - expected).abs() < 1e-15, "step {step}: {} but {expected}", rate.of(step));
            }
            rate.epoch_ends(loss);
        }
    }

    #[test]
    fn losses_change_no_other_schedule() {
        for schedule in [config::Schedule::Constant, config::Schedule::Step, config::Schedule::Cosine] {
            let fresh = LearningRate::new(&train(schedule), 2).unwrap();
            let mut told = fresh.clone();
            (0..30).for_each(|_| told.epoch_ends(1.0));
            assert_eq!(told.of(7).to_bits(), fresh.of(7).to_bits());
        }
    }
}
