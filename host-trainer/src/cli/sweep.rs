//! `grulet sweep`

use std::fmt::Write as _;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::folds::FoldArgs;
use super::signals;
use crate::sweep::{Axis, Combination, Done, Ranking, SCORED_STEPS};

/// Train with many settings, and rank them by the validation part.
///
/// docs/SWEEP.md says how values are drawn and what is kept.
#[derive(Args)]
pub struct Sweep {
    /// The configuration; docs/CONFIG.md describes every key.
    config: PathBuf,
    /// Values for a setting: a list such as `model.layers.0.units=[8,16]`, or with --random a range such as
    /// `train.learning_rate=1e-4..1e-2`. May be given more than once.
    #[arg(long, value_name = "KEY=VALUES", required = true)]
    vary: Vec<String>,
    /// Replace a setting of the file for all runs. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::setting)]
    set: Vec<String>,
    /// Draw N combinations by the configuration's seed, in place of all that there are.
    #[arg(long, value_name = "N")]
    random: Option<NonZeroUsize>,
    /// Run each combination with each of these seeds.
    #[arg(long, value_delimiter = ',', value_name = "SEED,…")]
    seeds: Vec<u64>,
    #[command(flatten)]
    folds: FoldArgs,
    /// Runs at the same time; as many as there are cores unless given. The results do not depend on it.
    #[arg(long, value_name = "J")]
    jobs: Option<NonZeroUsize>,
    /// Run again what is finished already.
    #[arg(long)]
    overwrite: bool,
    /// Print the ranking as JSON, and everything else to standard error.
    #[arg(long)]
    json: bool,
}

impl Sweep {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let sweep = crate::sweep::Sweep {
            vary: self.vary.iter().map(|text| Axis::parse(text)).collect::<Result<_, _>>()?,
            config: self.config,
            set: self.set,
            random: self.random.map(NonZeroUsize::get),
            seeds: self.seeds,
            folds: self.folds.folds(),
            jobs: self.jobs.map(NonZeroUsize::get),
            overwrite: self.overwrite,
        };
        let mut out: Box<dyn Write + Send> = if self.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let mut printed = Ok(());
        let mut watch = |done: &Done<'_>| {
            if printed.is_ok() {
                printed = writeln!(out, "{}", line(done));
            }
        };
        // Where signals cannot be caught, they end the process as ever; what is finished is kept too.
        let _ = signals::note();
        let ranking = sweep.run(&mut watch, &signals::received)?;
        printed.context("cannot write to standard output")?;
        let steps = SCORED_STEPS.iter().find(|key| sweep.vary.iter().any(|axis| axis.key == **key));
        let note = steps.map_or_else(String::new, |key| {
            format!("note: other values of `{key}` score other steps of the validation parts; their losses compare roughly\n")
        });
        if self.json {
            // Nobody may be listening there.
            _ = write!(io::stderr(), "{note}");
            return super::print_json(&ranking);
        }
        super::print(&(table(&ranking)? + &note))
    }
}

/// What came of a run.
fn line(done: &Done<'_>) -> String {
    let name = done.folder.file_name().unwrap_or_default().to_string_lossy();
    let result = match done.result {
        Ok(outcome) => {
            let scores: String =
                outcome.best.iter().map(|(name, value)| format!(" - val_{name}: {value:.4}")).collect();
            format!("epoch {} of {}{scores}", outcome.best_epoch, outcome.epochs)
        }
        Err(reason) => format!("failed: {reason}"),
    };
    format!("{}/{} {name}: {result}{}", done.count, done.of, if done.kept { " (finished earlier)" } else { "" })
}

/// The ranking for a person.
fn table(ranking: &Ranking) -> Result<String, std::fmt::Error> {
    let names = ranking.scores();
    let spread = ranking.combinations.iter().any(|combination| combination.runs.len() > 1);
    let width = if spread { 19 } else { 12 };
    let mut out = "\nvalidation parts, after the best epoch".to_owned();
    if spread {
        write!(out, ", mean ± standard deviation")?;
    }
    write!(out, ":\nrank")?;
    for name in &names {
        write!(out, "  {:>width$}", format!("val_{name}"))?;
    }
    writeln!(out, "  settings")?;
    for (rank, Combination { set, failed, scores, .. }) in (1..).zip(&ranking.combinations) {
        if let Some(reason) = failed {
            writeln!(out, "   -  {set}\n      failed: {reason}")?;
            continue;
        }
        write!(out, "{rank:>4}")?;
        for name in &names {
            let score = scores.mean.get(name).map_or_else(String::new, |mean| format!("{mean:.4}"));
            let std = scores.std.get(name).map_or_else(String::new, |std| format!(" ± {std:.4}"));
            write!(out, "  {:>width$}", score + &std)?;
        }
        writeln!(out, "  {set}")?;
    }
    Ok(out)
}
