//! `[train]`: the optimisation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::nn::{self, Rule};

/// AdamW's weight decay in Keras.
const WEIGHT_DECAY: f64 = 0.004;
/// What the learning rate is multiplied with, and after how many epochs: those of Keras's `ReduceLROnPlateau`.
pub(crate) const SCHEDULE_FACTOR: f64 = 0.1;
pub(crate) const SCHEDULE_EVERY: usize = 10;
pub(crate) const SCHEDULE_PATIENCE: usize = 10;

/// `[train]`: the optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What is minimised.
    pub loss: Loss,
    /// Passes over the training part.
    pub epochs: usize,
    /// Examples (series or windows) per step.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// How gradients change the weights.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Where Adam and AdamW add their epsilon.
    #[serde(default)]
    pub epsilon: Epsilon,
    /// AdamW: the part of every weight that goes at a learning rate of 1.
    pub weight_decay: Option<f64>,
    /// Gradient descent: the part of the velocity that stays from step to step.
    #[serde(default)]
    pub momentum: f64,
    /// Gradient descent: whether its momentum is Nesterov's.
    #[serde(default)]
    pub nesterov: bool,
    /// The part of the weights' moving average that stays from step to step; none is kept unless given.
    pub ema_momentum: Option<f64>,
    /// The optimiser's step size at the start.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// How the learning rate changes during training.
    #[serde(default)]
    pub schedule: Schedule,
    /// Step and plateau: what the learning rate is multiplied with.
    pub schedule_factor: Option<f64>,
    /// Step: epochs from one fall of the learning rate to the next.
    pub schedule_every: Option<usize>,
    /// Plateau: epochs without improvement until the learning rate falls.
    pub schedule_patience: Option<usize>,
    /// Plateau: the learning rate below which it does not fall.
    #[serde(default)]
    pub schedule_minimum: f64,
    /// Cosine: steps in which the learning rate rises from 0.
    #[serde(default)]
    pub warmup_steps: usize,
    /// Upper bound of the gradient's Euclidean norm over all weights.
    pub clip_norm: Option<f64>,
    /// Upper bound of each of the gradient's magnitudes.
    pub clip_value: Option<f64>,
    /// What the best epoch is chosen by, and patience and plateaus watch.
    #[serde(default)]
    pub monitor: Monitor,
    /// Epochs without improvement that end the training.
    pub patience: Option<usize>,
    /// What is watched must change by more than this to have improved.
    #[serde(default)]
    pub min_delta: f64,
    /// Whether each window of a series begins with the state in which the one before has ended.
    #[serde(default)]
    pub stateful: bool,
    /// Steps at the start of each window or series that count in neither loss nor metrics.
    #[serde(default)]
    pub ignore_steps: usize,
    /// Standard deviation of Gaussian noise on the normalised training inputs.
    #[serde(default)]
    pub input_noise: f64,
    /// The part of each layer's inputs that is dropped.
    #[serde(default)]
    pub dropout: Rates,
    /// The part of each GRU's state that is dropped in its recurrent products.
    #[serde(default)]
    pub recurrent_dropout: Rates,
    /// Penalty on the kernels' magnitudes.
    #[serde(default)]
    pub l1: f64,
    /// Penalty on the kernels' squares.
    #[serde(default)]
    pub l2: f64,
    /// The part by which a cross-entropy's targets are moved towards equal probabilities.
    #[serde(default)]
    pub label_smoothing: f64,
    /// How much each class's targets count.
    pub class_weights: Option<ClassWeights>,
    /// Whether examples of rare classes are shown again, until all classes come equally often.
    #[serde(default)]
    pub oversample: bool,
    /// Epochs of quantisation-aware training after the others, which end in a model in integers; 0 for none.
    #[serde(default)]
    pub qat_epochs: usize,
    /// A check whether the network can learn by heart: only so many examples are trained on.
    pub overfit: Option<usize>,
    /// Threads; all cores unless given. The result does not depend on it.
    pub threads: Option<usize>,
    /// Whether the examples are shuffled anew in every epoch.
    #[serde(default = "default_shuffle")]
    pub shuffle: bool,
    /// A model whose weights the training begins with; fresh ones unless given.
    pub init: Option<PathBuf>,
    /// Folder of the run's results; `runs/<name>` beside the file unless given.
    #[serde(default)]
    pub run_dir: PathBuf,
}

impl TrainConfig {
    /// One epoch with `loss`, and every other setting at its default.
    pub fn new(loss: Loss) -> Self {
        Self {
            loss,
            epochs: 1,
            batch_size: default_batch_size(),
            optimizer: Optimizer::default(),
            epsilon: Epsilon::default(),
            weight_decay: None,
            momentum: 0.0,
            nesterov: false,
            ema_momentum: None,
            learning_rate: default_learning_rate(),
            schedule: Schedule::default(),
            schedule_factor: None,
            schedule_every: None,
            schedule_patience: None,
            schedule_minimum: 0.0,
            warmup_steps: 0,
            clip_norm: None,
            clip_value: None,
            monitor: Monitor::default(),
            patience: None,
            min_delta: 0.0,
            stateful: false,
            ignore_steps: 0,
            input_noise: 0.0,
            dropout: Rates::default(),
            recurrent_dropout: Rates::default(),
            l1: 0.0,
            l2: 0.0,
            label_smoothing: 0.0,
            class_weights: None,
            oversample: false,
            qat_epochs: 0,
            overfit: None,
            threads: None,
            shuffle: default_shuffle(),
            init: None,
            run_dir: PathBuf::new(),
        }
    }

    /// The optimiser's rule.
    pub fn rule(&self) -> Rule {
        let epsilon = self.epsilon.into();
        match self.optimizer {
            Optimizer::Adam => Rule::Adam(epsilon),
            Optimizer::AdamW => Rule::AdamW { epsilon, weight_decay: self.weight_decay.unwrap_or(WEIGHT_DECAY) },
            Optimizer::Sgd => Rule::Sgd { momentum: self.momentum, nesterov: self.nesterov },
            Optimizer::RmsProp => Rule::RmsProp,
        }
    }

    /// Fills in the defaults that hang on other settings.
    pub(super) fn resolve(&mut self) {
        if self.optimizer == Optimizer::AdamW {
            self.weight_decay.get_or_insert(WEIGHT_DECAY);
        }
        if matches!(self.schedule, Schedule::Step | Schedule::Plateau) {
            self.schedule_factor.get_or_insert(SCHEDULE_FACTOR);
        }
        if self.schedule == Schedule::Step {
            self.schedule_every.get_or_insert(SCHEDULE_EVERY);
        }
        if self.schedule == Schedule::Plateau {
            self.schedule_patience.get_or_insert(SCHEDULE_PATIENCE);
        }
    }
}

/// A rate for all layers, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or a list of numbers")]
pub enum Rates {
    /// The same for all layers.
    All(f64),
    /// One for each layer.
    Each(Vec<f64>),
}

impl Default for Rates {
    fn default() -> Self {
        Rates::All(0.0)
    }
}

impl Rates {
    /// One for each of so many layers.
    pub fn each(&self, layers: usize) -> Vec<f64> {
        match self {
            Rates::All(rate) => vec![*rate; layers],
            Rates::Each(rates) => rates.clone(),
        }
    }
}

/// How much each class's targets count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"balanced\", or a list of numbers")]
pub enum ClassWeights {
    /// By what there are.
    By(Balance),
    /// One for each class.
    Each(Vec<f64>),
}

/// What weights are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Such that all classes together count alike.
    Balanced,
}

/// How gradients change the weights; [`Rule`] has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam.
    #[default]
    Adam,
    /// Adam with decoupled weight decay.
    AdamW,
    /// Gradient descent, with or without momentum.
    Sgd,
    /// RMSprop.
    RmsProp,
}

/// What training minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Targets in 0..=1, last layer sigmoid.
    BinaryCrossentropy,
    /// Targets one-hot or class indices, last layer softmax.
    CategoricalCrossentropy,
    /// Targets class indices, last layer softmax.
    SparseCategoricalCrossentropy,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
    /// Squared below an error of 1, linear above.
    Huber,
}

/// How the learning rate changes during training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// It is multiplied with a factor every few epochs.
    Step,
    /// Half a cosine from `learning_rate` to 0 at the end of training, after a warm-up if there is one.
    Cosine,
    /// It is multiplied with a factor where the validation loss no longer improves.
    Plateau,
}

/// What the best epoch is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The loss, which should be low.
    #[default]
    Loss,
    /// The fraction of right decisions, which should be high.
    Accuracy,
}

/// Where Adam and AdamW add their epsilon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Epsilon {
    /// 1e-7, added to the root of the uncorrected second moment.
    #[default]
    Keras,
    /// 1e-8, added to the root of the bias-corrected second moment.
    Pytorch,
}

const fn default_batch_size() -> usize {
    32
}

const fn default_learning_rate() -> f64 {
    1e-3
}

const fn default_shuffle() -> bool {
    true
}

/// What kind of answer a network gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Real values.
    Regression,
    /// Independent probabilities, one per output.
    Binary,
    /// One of several classes.
    Classes,
}

impl Loss {
    /// What kind of answer the loss asks for.
    pub const fn task(self) -> Task {
        match self {
            Loss::BinaryCrossentropy => Task::Binary,
            Loss::CategoricalCrossentropy | Loss::SparseCategoricalCrossentropy => Task::Classes,
            Loss::Mse | Loss::Mae | Loss::Huber => Task::Regression,
        }
    }
}

impl From<Loss> for nn::Loss {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::BinaryCrossentropy => nn::Loss::BinaryCrossEntropy,
            Loss::CategoricalCrossentropy => nn::Loss::CategoricalCrossEntropy,
            Loss::SparseCategoricalCrossentropy => nn::Loss::SparseCategoricalCrossEntropy,
            Loss::Mse => nn::Loss::MeanSquaredError,
            Loss::Mae => nn::Loss::MeanAbsoluteError,
            Loss::Huber => nn::Loss::Huber { delta: 1.0 },
        }
    }
}

impl From<Epsilon> for nn::Epsilon {
    fn from(epsilon: Epsilon) -> Self {
        match epsilon {
            Epsilon::Keras => nn::Epsilon::Keras,
            Epsilon::Pytorch => nn::Epsilon::PyTorch,
        }
    }
}
