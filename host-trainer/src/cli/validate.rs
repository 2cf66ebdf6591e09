//! `grulet validate`

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use grulet::Blob;

use super::source::{self, Source};
use crate::firmware::{self, Difference, Statistics, Target, Validation};
use crate::summary::thousands;

/// Run a model on the host and on a target over the same data, and compare every bit.
///
/// The decoder of an encoder-decoder takes the labels' tokens; where there are none, those that the host writes.
#[derive(Args)]
pub struct Validate {
    #[command(flatten)]
    source: Source,
    /// Where: host, qemu, qemu:BOARD or probe:CHIP.
    #[arg(long, default_value = "qemu")]
    target: String,
    /// The model that the target runs, if that is another file, such as one read back from a device.
    #[arg(long, value_name = "FILE")]
    target_model: Option<PathBuf>,
    /// Series to run; as many as the target has room for unless given.
    #[arg(long, value_name = "COUNT")]
    series: Option<NonZeroUsize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Validate {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let target: Target = self.target.parse()?;
        let blob = self.source.blob()?;
        let on_target = match &self.target_model {
            Some(path) => source::load(path)?,
            None => blob.clone(),
        };
        let model = Blob::parse(blob.as_ref())?;
        let header = model.header();
        let other = Blob::parse(on_target.as_ref())?;
        if other.header().layers != header.layers || other.header().storage != header.storage {
            bail!("--target-model: it is another network than the model");
        }
        // Labels are welcome, but need not be there.
        let with_labels = self.source.data(header, true);
        let (_, mut data) = with_labels.or_else(|_| self.source.data(header, false))?;
        if let Some(count) = self.series {
            data.series.truncate(count.get());
        }
        let validation = firmware::validate(&blob, &on_target, &data, &target)
            .with_context(|| format!("--target {}", self.target))?;
        if self.json {
            super::print_json(&validation)?;
        } else {
            super::print(&self.text(&validation)?)?;
        }
        match &validation.difference {
            Some(_) => bail!("the target does not give the host's bits"),
            None => Ok(()),
        }
    }

    fn text(&self, validation: &Validation) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        let left = match validation.left_out {
            0 => String::new(),
            count => format!("; {} more series do not fit the target's flash", thousands(count)),
        };
        let (series, steps) = (thousands(validation.series), thousands(validation.steps));
        let steps = match validation.decoder_steps {
            0 => format!("{steps} steps"),
            decoder => format!("{steps} steps of the encoder, {} of the decoder", thousands(decoder)),
        };
        writeln!(out, "{series} series, {steps} on {}{left}\n", self.target)?;
        writeln!(
            out,
            "{:<18} {:>8} {:>11} {:>11} {:>11} {:>11} {:>11} {:>9} {:>9}",
            "", "acc", "rmse", "mae", "l2r", "mean", "std", "nse", "cos"
        )?;
        let rows = [
            ("target, labels", &validation.target_labels),
            ("host, labels", &validation.host_labels),
            ("target, host", &Some(validation.target_host)),
        ];
        for (name, statistics) in rows {
            let Some(Statistics { acc, rmse, mae, l2r, mean, std, nse, cos }) = statistics else { continue };
            let acc = acc.map_or_else(|| "n.a.".to_owned(), |acc| format!("{acc:.2}%"));
            writeln!(
                out,
                "{name:<18} {acc:>8} {rmse:>11.4e} {mae:>11.4e} {l2r:>11.4e} {mean:>11.3e} {std:>11.4e} {nse:>9.5} {cos:>9.5}"
            )?;
        }
        match &validation.difference {
            None => writeln!(out, "\noutputs bit-identical: yes (hash {})", validation.host_hash)?,
            Some(Difference { series, step, layer, element, host, target, ulp }) => {
                let (a, b) = (&validation.host_hash, &validation.target_hash);
                writeln!(out, "\noutputs bit-identical: no (hash {b} on the target, {a} on the host)")?;
                writeln!(
                    out,
                    "first difference: series {series}, step {step}, layer {layer}, element {element}: \
                     host {host:e}, target {target:e}, {ulp} ulp apart"
                )?;
            }
        }
        Ok(out)
    }
}
