//! `--folds`, of `grulet train` and `grulet sweep`.

use std::fmt::Write;

use clap::Args;

use crate::config::Group;
use crate::run::NamedScores;
use crate::run::folds::{CrossValidation, Folds};

/// Cross-validation.
#[derive(Args)]
pub struct FoldArgs {
    /// Cross-validate: K runs, each with another part of the training data as validation part; the configuration has no
    /// [data.validation] then. Whole groups are held out where the series have groups, else series.
    #[arg(long = "folds", value_name = "K")]
    count: Option<usize>,
    /// The column (.csv) or array (.npz) of groups, in place of `data.csv.group` or `data.npz.group`. As many folds as groups
    /// leave one group out each.
    #[arg(long, value_name = "COLUMN", requires = "count")]
    group: Option<String>,
}

impl FoldArgs {
    /// What the arguments ask for.
    pub fn folds(&self) -> Option<Folds> {
        self.count.map(|count| Folds { count, group: self.group.clone() })
    }
}

/// A cross-validation for a person.
pub fn table(result: &CrossValidation) -> Result<String, std::fmt::Error> {
    let mut rows = Vec::new();
    for fold in &result.folds {
        let groups: Vec<String> = fold.groups.iter().map(Group::to_string).collect();
        let epochs = (fold.outcome.best_epoch.to_string(), fold.outcome.epochs.to_string());
        rows.push((fold.number.to_string(), epochs, &fold.outcome.best, &fold.outcome.last, groups.join(", ")));
    }
    for (name, best, last) in
        [("mean", &result.best.mean, &result.last.mean), ("std", &result.best.std, &result.last.std)]
    {
        rows.push((name.to_owned(), Default::default(), best, last, String::new()));
    }
    let heads = || result.best.mean.iter().map(|(name, _)| format!("  {:>12}", format!("val_{name}")));
    let cells = |scores: &NamedScores| scores.iter().map(|(_, value)| format!("  {value:>12.4}")).collect::<String>();
    let grouped = result.folds.iter().any(|fold| !fold.groups.is_empty());
    let mut out = "\nvalidation parts, after the best and the last epoch:\n".to_owned();
    let heads = format!("  best{}  last{}", heads().collect::<String>(), heads().collect::<String>());
    writeln!(out, "fold{heads}{}", if grouped { "  groups" } else { "" })?;
    for (name, (best_epoch, epochs), best, last, groups) in rows {
        let row = format!("{name:<4}  {best_epoch:>4}{}  {epochs:>4}{}  {groups}", cells(best), cells(last));
        writeln!(out, "{}", row.trim_end())?;
    }
    Ok(out)
}
