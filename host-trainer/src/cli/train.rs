//! `grulet train`

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::folds::{FoldArgs, table};
use super::{outputs, signals};
use crate::config::Config;
use crate::data::Prepared;
use crate::evaluate::Scores;
use crate::files;
use crate::run::{self, EpochLog, Progress, Report};
use crate::summary::{summary, thousands};

/// Train a network as a TOML file says, and keep the result in its run folder.
#[derive(Args)]
pub struct Train {
    /// The configuration; docs/CONFIG.md describes every key.
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Replace a setting of the file, such as `train.epochs=3`. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::setting)]
    set: Vec<String>,
    /// Go on with quantisation-aware training and end in a model in integers too: a quarter of the epochs, unless
    /// `train.qat_epochs` says how many.
    #[arg(long)]
    qat: bool,
    /// Begin with the weights of a trained model of the same layers: a .gru in f32, a .ckpt, or the folder of a run.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Replace an earlier run in the same folder.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    folds: FoldArgs,
    /// Go on with the run in this folder after its last whole epoch, as its own configuration says; the result has the same
    /// bits as without the interruption. `--set` may raise `train.epochs` and change `train.threads`.
    #[arg(long, value_name = "RUN_FOLDER", conflicts_with_all = ["config", "overwrite", "qat", "count"])]
    resume: Option<PathBuf>,
    /// Read and check configuration and data and show what would be trained, but train and write nothing.
    #[arg(long, conflicts_with_all = ["resume", "count"])]
    dry_run: bool,
    /// Check that the network can learn by heart: train on the first N examples alone, without regularisation. The run's name
    /// and folder end in `-overfit`.
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "qat", "count"])]
    overfit: Option<NonZeroUsize>,
    /// Print the report as JSON, and everything else to standard error.
    #[arg(long)]
    json: bool,
}

/// The settings that may change while a run goes on.
const RESUMABLE: [&str; 2] = ["train.epochs", "train.threads"];

impl Train {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let config = self.config()?;
        self.spare_inputs(&config)?;
        let out: Box<dyn Write> = if self.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let mut watcher = Watcher {
            out,
            bar: None,
            epochs: config.train.epochs,
            metric: config.train.monitor.name(),
            fold: None,
            failed: None,
        };
        if self.dry_run {
            let plan = run::plan(&config, &mut watcher)?;
            if self.json {
                return super::print_json(&plan);
            }
            let (steps, epochs) = (thousands(plan.steps_per_epoch), thousands(plan.epochs));
            return super::print(&format!("Epochs: {epochs} of {steps} steps; nothing is trained or written\n"));
        }
        // Where signals cannot be caught, they end the process as ever, which --resume can stand too.
        let _ = signals::note();
        if let Some(folds) = self.folds.folds() {
            let result = run::folds::cross_validate(&config, folds.count, self.overwrite, &mut watcher)?;
            watcher.check()?;
            return if self.json { super::print(&result.to_json()) } else { super::print(&table(&result)?) };
        }
        let report = match &self.resume {
            Some(folder) => match run::resume(&config, &mut watcher)? {
                Some(report) => report,
                None => return self.nothing_to_do(folder),
            },
            None => run::train(&config, self.overwrite, &mut watcher)?,
        };
        watcher.check()?;
        if self.json {
            return super::print_json(&report);
        }
        super::print(&text(&report)?)
    }

    /// Refuses a run's folder in which one of the run's files would take the place of the data, or of a configuration that is
    /// not that of an earlier run.
    fn spare_inputs(&self, config: &Config) -> anyhow::Result<()> {
        if self.folds.folds().is_some() {
            // Folds have folders of their own.
            return Ok(());
        }
        let folder = &config.train.run_dir;
        let mut inputs = outputs::data_files(config);
        inputs.extend(self.config.clone().filter(|_| !folder.join("last.ckpt").exists()));
        let files = run::FILES.map(|name| folder.join(name));
        let files: Vec<_> = files.iter().map(|file| ("`train.run_dir`", Some(&**file))).collect();
        outputs::spare(&inputs, &files)
    }

    /// The configuration that is trained.
    fn config(&self) -> anyhow::Result<Config> {
        if let Some(folder) = &self.resume {
            let key = |set: &str| set.split('=').next().unwrap_or(set).trim().to_owned();
            if let Some(key) = self.set.iter().map(|set| key(set)).find(|key| !RESUMABLE.contains(&key.as_str())) {
                bail!("--set {key}: a run goes on with its own settings; only {} may change", RESUMABLE.join(" and "));
            }
            let path = folder.join("config.toml");
            if !path.exists() {
                bail!("{}: there is no config.toml; give --resume the folder of a run", folder.display());
            }
            let mut config = Config::load(&path, &self.set)?;
            // It may have been moved.
            config.train.run_dir.clone_from(folder);
            return Ok(config);
        }
        let path = self.config.as_deref().context("give a configuration, or --resume and the folder of a run")?;
        let mut config = match self.folds.folds() {
            Some(folds) => run::folds::load(path, &self.set, &folds)?,
            None => Config::load(path, &self.set)?,
        };
        if let Some(init) = &self.init {
            config.train.init = Some(init.clone());
        }
        if self.qat && config.train.qat_epochs == 0 {
            if self.set.iter().any(|set| set.split('=').next().is_some_and(|key| key.trim() == "train.qat_epochs")) {
                bail!("--qat and --set train.qat_epochs=0: give how many epochs, or leave one of them out");
            }
            config.train.qat_epochs = config.train.epochs.div_ceil(4);
        }
        Ok(match self.overfit {
            Some(examples) => config.overfit(examples.get()),
            None => config,
        })
    }

    /// The run is finished.
    fn nothing_to_do(&self, folder: &Path) -> anyhow::Result<()> {
        if self.json {
            let path = folder.join("report.json");
            let report: serde_json::Value = serde_json::from_slice(&files::read(&path)?)
                .with_context(|| format!("{}: damaged; train anew with --overwrite", path.display()))?;
            return super::print_json(&report);
        }
        super::print(&format!(
            "{}: finished, nothing to do; --set train.epochs=N trains it for longer, unless patience has ended it\n",
            folder.display()
        ))
    }
}

/// The report for a person.
fn text(report: &Report) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    if let Some(examples) = report.overfit {
        writeln!(
            out,
            "\noverfit check: loss {:.3e} on {examples} examples after epoch {}; about 0 if the network can learn by heart, \
             else try more epochs, units or another learning rate",
            report.training.loss, report.best_epoch
        )?;
    }
    if let Some(validation) = &report.validation {
        writeln!(out, "\nvalidation part, after epoch {}: {}", report.best_epoch, listed(validation).trim_start())?;
    }
    if let Some(test) = &report.test {
        writeln!(out, "\ntest part, by the runtime on the exported model of epoch {}:", report.best_epoch)?;
        let own = (format!("{} ({} parameters)", report.name, thousands(report.parameters)), test);
        let baselines = report.baselines.iter().map(|baseline| (baseline.name.clone(), &baseline.scores));
        let int8 = report.int8.iter().map(|scores| ("the same in int8".to_owned(), scores));
        let rows: Vec<(String, &Scores)> = std::iter::once(own).chain(int8).chain(baselines).collect();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, scores) in rows {
            writeln!(out, "  {name:<width$}{}", listed(scores))?;
        }
    }
    let model = &report.model;
    writeln!(
        out,
        "\n{}: {} bytes of flash, {} bytes of state, {} multiply-accumulates per step, weights {}",
        model.path.display(),
        thousands(model.bytes),
        thousands(model.state_bytes),
        thousands(model.macs_per_step),
        report.weights_hash,
    )?;
    writeln!(out, "{:.1} s in all; report, log and checkpoints are beside it", report.seconds)?;
    Ok(out)
}

/// Names and values, in one line.
fn listed(scores: &Scores) -> String {
    scores.list().map(|(name, value)| format!("  {name} {value:.4}")).collect()
}

/// A bar in a terminal, one line per epoch in any case.
struct Watcher {
    out: Box<dyn Write>,
    bar: Option<ProgressBar>,
    epochs: usize,
    /// What patience watches.
    metric: &'static str,
    /// Line above the next run's, once its data are read.
    fold: Option<String>,
    failed: Option<io::Error>,
}

impl Watcher {
    /// Whether all could be printed.
    fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), |error| Err(error).context("cannot write to standard output"))
    }

    fn print(&mut self, text: &str) {
        if let Err(error) = writeln!(self.out, "{text}") {
            self.failed.get_or_insert(error);
        }
    }
}

impl Progress for Watcher {
    fn fold(&mut self, number: usize, count: usize) {
        self.fold = Some(format!("{}Fold {number}/{count}", if number == 1 { "" } else { "\n" }));
    }

    fn fold_kept(&mut self, number: usize, count: usize) {
        self.print(&format!("Fold {number}/{count} (finished earlier)"));
    }

    fn start(&mut self, config: &Config, data: &Prepared) {
        if let Some(fold) = self.fold.take() {
            self.print(&fold);
        }
        self.print(&summary(&config.name, &data.layers, data.train.output));
        for warning in &data.warnings {
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
        let part = |name: &str, examples: usize| format!("{} {name}", thousands(examples));
        let validation = data.validation.as_ref().map(|data| part("for validation", data.series.len()));
        let test = data.test.as_ref().map(|data| part("for the test", data.series.len()));
        let parts: Vec<String> = [Some(part("examples to train on", data.train.series.len())), validation, test]
            .into_iter()
            .flatten()
            .collect();
        self.print(&format!("{}\n", parts.join(", ")));
        if config.train.overfit.is_some() {
            self.print("Overfit check: on these examples alone the loss should fall to about 0\n");
        }
        if io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}").ok();
            let bar = ProgressBar::new(0).with_prefix(format!("Epoch 1/{}", self.epochs));
            self.bar = Some(style.map_or(bar.clone(), |style| bar.with_style(style)));
        }
    }

    fn batch(&mut self, batch: usize, batches: usize, loss: f64) {
        if let Some(bar) = &self.bar {
            bar.set_length(batches as u64);
            bar.set_position(batch as u64);
            bar.set_message(format!("loss {loss:.4}"));
        }
    }

    fn epoch(&mut self, row: &EpochLog) {
        let scores: String = row.scores().map(|(name, value)| format!(" - {name}: {value:.4}")).collect();
        let per_step = row.seconds * 1e3 / row.steps as f64;
        let line = format!(
            "Epoch {}/{} - {}/{} - {:.1}s - {per_step:.1}ms/step{scores} - learning_rate: {:.2e}",
            row.epoch, self.epochs, row.steps, row.steps, row.seconds, row.learning_rate
        );
        match self.bar.take() {
            Some(bar) => {
                bar.suspend(|| self.print(&line));
                if row.epoch == self.epochs {
                    bar.finish_and_clear();
                } else {
                    bar.set_prefix(format!("Epoch {}/{}", row.epoch + 1, self.epochs));
                    bar.set_position(0);
                    self.bar = Some(bar);
                }
            }
            None => self.print(&line),
        }
    }

    fn stopped(&mut self, epoch: usize, best: u32) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.print(&format!(
            "Stopped after epoch {epoch}: val_{} no longer improves; the model is that of epoch {best}",
            self.metric
        ));
    }

    fn resumed(&mut self, epoch: usize) {
        self.print(&format!("Going on after epoch {epoch}"));
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("Epoch {}/{}", epoch + 1, self.epochs));
        }
    }

    fn interrupted(&self) -> bool {
        signals::received()
    }

    fn integers(&mut self, epoch: usize, loss: f64) {
        let what =
            if epoch == 0 { "quantised".to_owned() } else { format!("with the integers' outputs, epoch {epoch}") };
        self.print(&format!("Int8, {what} - loss: {loss:.4}"));
    }
}
