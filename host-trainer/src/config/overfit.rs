//! The configuration of a check: can the network learn a few examples by heart?

use std::ffi::OsString;

use super::train::TrainConfig;
use super::{Config, NpzKeys, Optimizer};

impl Config {
    /// The same network on its first `examples` alone, for as many epochs. There are no other parts, the learning rate stays,
    /// and nothing that would keep a network from learning by heart. Name and folder end in `-overfit`.
    #[must_use]
    pub fn overfit(mut self, examples: usize) -> Self {
        self.name += "-overfit";
        (self.data.validation, self.data.test, self.data.npz_test) = (None, None, NpzKeys::default());
        let train = self.train;
        // Of its parts, so that a slash at the end is none of the name.
        let mut run_dir = OsString::from(train.run_dir.components().as_path());
        run_dir.push("-overfit");
        let adam_w = train.optimizer == Optimizer::AdamW;
        self.train = TrainConfig {
            overfit: Some(examples),
            epochs: train.epochs,
            batch_size: train.batch_size,
            optimizer: if adam_w { Optimizer::Adam } else { train.optimizer },
            epsilon: train.epsilon,
            momentum: train.momentum,
            nesterov: train.nesterov,
            learning_rate: train.learning_rate,
            clip_norm: train.clip_norm,
            clip_value: train.clip_value,
            stateful: train.stateful,
            ignore_steps: train.ignore_steps,
            threads: train.threads,
            shuffle: train.shuffle,
            init: train.init,
            run_dir: run_dir.into(),
            ..TrainConfig::new(train.loss)
        };
        self
    }
}
