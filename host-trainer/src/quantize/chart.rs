//! `f32` against integers as a picture.

use plotters::prelude::*;

use crate::evaluate::{ChartError, Predictions};

/// Answers that are drawn: more cannot be told apart.
const ANSWERS: usize = 500;

/// A value of an answer: its number, and which output.
type Curve<'a> = &'a dyn Fn(usize, usize) -> f32;

/// An SVG with the first answers of both above, and their difference below.
///
/// # Errors
/// If there is nothing to draw.
pub fn chart(title: &str, f32: &Predictions, int8: &Predictions, names: &[String]) -> Result<String, ChartError> {
    let mut svg = String::new();
    draw(&mut svg, title, f32, int8, names).map_err(|error| ChartError(error.to_string()))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    f32: &Predictions,
    int8: &Predictions,
    names: &[String],
) -> Result<(), Box<dyn std::error::Error>> {
    let count = (f32.values.len() / f32.width).min(ANSWERS);
    let series =
        |of: Curve<'_>, output: usize| -> Vec<(f32, f32)> { (0..count).map(|i| (i as f32, of(i, output))).collect() };
    let reference = |i: usize, output: usize| f32.values[i * f32.width + output];
    let integer = |i: usize, output: usize| int8.values[i * int8.width + output];
    let error = |i: usize, output: usize| integer(i, output) - reference(i, output);

    let root = SVGBackend::with_string(svg, (960, 640)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(400);
    let panels: [(_, String, Vec<Curve<'_>>); 2] = [
        (above, format!("{title}: f32 (thin) and int8 (wide)"), vec![&integer, &reference]),
        (below, "int8 - f32".to_owned(), vec![&error]),
    ];
    for (area, caption, curves) in panels {
        let values = || curves.iter().flat_map(|curve| (0..f32.width).flat_map(|o| series(curve, o)));
        let (low, high) = values().fold((f32::MAX, f32::MIN), |(low, high), (_, y)| (low.min(y), high.max(y)));
        let margin = ((high - low) * 0.05).max(1e-6);
        let mut chart = ChartBuilder::on(&area)
            .caption(caption, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(0f32..count.max(2) as f32 - 1.0, low - margin..high + margin)?;
        chart.configure_mesh().light_line_style(WHITE.mix(0.0)).x_desc("answer").draw()?;
        for (index, curve) in curves.iter().enumerate() {
            let wide = curves.len() > 1 && index == 0;
            for (output, name) in names.iter().enumerate() {
                let colour = Palette99::pick(output).mix(if wide { 0.35 } else { 1.0 });
                let style = colour.stroke_width(if wide { 4 } else { 1 });
                let line = chart.draw_series(LineSeries::new(series(curve, output), style))?;
                if !wide {
                    line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
                }
            }
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    }
    root.present()?;
    Ok(())
}
