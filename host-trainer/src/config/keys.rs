//! The schema's keys, and the nearest one to a wrong key.

/// Every key of the configuration with its tables, in the order of `docs/CONFIG.md`.
pub const KEYS: &[&str] = &[
    "name",
    "seed",
    "data.train",
    "data.test",
    "data.channels",
    "data.units",
    "data.sample_rate",
    "data.classes",
    "data.window",
    "data.stride",
    "data.train_stride",
    "data.normalize",
    "data.normalize_targets",
    "data.horizon",
    "data.target_transform",
    "data.tokens",
    "data.npz.x",
    "data.npz.y",
    "data.npz.y_lengths",
    "data.npz.lengths",
    "data.npz.group",
    "data.npz.weight",
    "data.npz.x_scale",
    "data.npz.y_scale",
    "data.npz_test.x",
    "data.npz_test.y",
    "data.npz_test.y_lengths",
    "data.npz_test.lengths",
    "data.npz_test.group",
    "data.npz_test.x_scale",
    "data.npz_test.y_scale",
    "data.csv.series",
    "data.csv.time",
    "data.csv.label",
    "data.csv.features",
    "data.csv.group",
    "data.csv.source",
    "data.csv.target",
    "data.csv.weight",
    "data.validation.fraction",
    "data.validation.file",
    "data.validation.groups",
    "data.validation.fold",
    "model.output",
    "model.encoder.type",
    "model.encoder.units",
    "model.encoder.vocabulary",
    "model.encoder.reset",
    "model.encoder.gate",
    "model.encoder.candidate",
    "model.encoder.activation",
    "model.layers.type",
    "model.layers.units",
    "model.layers.vocabulary",
    "model.layers.reset",
    "model.layers.gate",
    "model.layers.candidate",
    "model.layers.bidirectional",
    "model.layers.merge",
    "model.layers.activation",
    "model.layers.over",
    "train.loss",
    "train.epochs",
    "train.batch_size",
    "train.optimizer",
    "train.epsilon",
    "train.weight_decay",
    "train.momentum",
    "train.nesterov",
    "train.ema_momentum",
    "train.learning_rate",
    "train.schedule",
    "train.schedule_factor",
    "train.schedule_every",
    "train.schedule_patience",
    "train.schedule_minimum",
    "train.warmup_steps",
    "train.clip_norm",
    "train.clip_value",
    "train.monitor",
    "train.patience",
    "train.min_delta",
    "train.stateful",
    "train.ignore_steps",
    "train.input_noise",
    "train.dropout",
    "train.recurrent_dropout",
    "train.l1",
    "train.l2",
    "train.label_smoothing",
    "train.class_weights",
    "train.oversample",
    "train.qat_epochs",
    "train.overfit",
    "train.threads",
    "train.shuffle",
    "train.init",
    "train.run_dir",
];

/// What a path is in the schema.
pub(super) enum Kind {
    /// A key with a value.
    Key,
    /// A table of keys; `model.layers` is a list of such tables.
    Table,
    /// Not in the schema.
    Unknown,
}

pub(super) fn kind(path: &str) -> Kind {
    if KEYS.contains(&path) {
        Kind::Key
    } else if KEYS.iter().any(|key| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))) {
        Kind::Table
    } else {
        Kind::Unknown
    }
}

/// The first key in the table `path`, which the schema has.
pub(super) fn first_in(path: &str) -> &'static str {
    KEYS.iter().find(|key| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))).unwrap_or(&"")
}

/// The key that was probably meant by the unknown `path`: a known key of the same name in another table, else one that it
/// shortens (`lr`, `batch`), else the one with the fewest letters changed, if at most a third are.
pub(super) fn nearest(path: &str) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let tables = KEYS.iter().flat_map(|key| key.match_indices('.').map(|(at, _)| &key[..at]));
    let mut known: Vec<&str> = KEYS.iter().copied().chain(tables).collect();
    known.dedup();
    let distance = |key: &&str| strsim::damerau_levenshtein(key, path);
    let same_name = known.iter().copied().filter(|key| last(key) == last(path)).min_by_key(distance);
    let close = |key: &&str| {
        let (key, wrong) = (last(key), last(path));
        strsim::damerau_levenshtein(&key, &wrong) <= key.len().max(wrong.len()).div_ceil(3)
    };
    let shortened = |key: &&str| {
        let (key, short) = (last(key), last(path));
        let initials: String = key.split('_').filter_map(|word| word.chars().next()).collect();
        key.contains('_') && (initials == short || key.starts_with(&(short + "_")))
    };
    same_name
        .or_else(|| known.iter().copied().filter(shortened).min_by_key(distance))
        .or_else(|| {
            let similar = known.iter().copied().filter(close);
            similar.min_by_key(|key| (strsim::damerau_levenshtein(&last(key), &last(path)), distance(key)))
        })
        .map(str::to_owned)
}
