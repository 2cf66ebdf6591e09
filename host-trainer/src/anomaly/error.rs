//! Why anomalies cannot be found.

/// Every error of [`anomaly`](super).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnomalyError {
    /// No forecast, but a classifier.
    #[error(
        "the model is a classifier, and anomalies are large errors of a forecast; train one with `train.loss = \"mse\"` and \
         `data.horizon`"
    )]
    Classifier,
    /// No error at each step.
    #[error(
        "the model does not answer at every step, so that steps have no error; train one with \
         `model.output = \"every_step\"`"
    )]
    NotEveryStep,
    /// Errors that are known only when a series has ended.
    #[error(
        "the model reads series from both ends, so that a step's error is known only when its series has ended; train one \
         without `bidirectional` layers"
    )]
    Bidirectional,
    /// A quantile that is none.
    #[error("the quantile is {found}, but must lie between 0 and 1, such as 0.999")]
    Quantile {
        /// What was given.
        found: f64,
    },
    /// A quantile above which there is less than one step.
    #[error(
        "the quantile {quantile} needs {needed} training steps or more, but there are {steps}; \
         give --quantile {largest} or less, or train with more data"
    )]
    Unresolved {
        /// What was given.
        quantile: f64,
        /// Steps of the training part that have an error.
        steps: usize,
        /// Steps of which at least one lies above the quantile.
        needed: u64,
        /// The largest quantile that `steps` resolve, rounded down.
        largest: f64,
    },
    /// Too little to take any quantile of.
    #[error("the training part has {steps} steps with an error, too few for any quantile; train with more data")]
    TooFewSteps {
        /// How many there are.
        steps: usize,
    },
    /// An output without errors to compare with.
    #[error(
        "output {output:?} has an RMS error of {rms} on the training part, by which no error can be divided; \
         leave that target out, or train with data in which it varies"
    )]
    Rms {
        /// The output's name.
        output: String,
        /// Its error.
        rms: f64,
    },
    /// Labels of which none says that all is well.
    #[error("no step has the label {normal:?}, which means that all is well; name the word by --normal: {found}")]
    NoNormal {
        /// The label looked for.
        normal: String,
        /// The labels that there are.
        found: String,
    },
}
