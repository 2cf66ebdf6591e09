//! An evaluation as a picture.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{ClassTable, Details, Predictions, targets};
use crate::data::Dataset;

/// Panels that are drawn, one per output.
const PANELS: usize = 16;
/// Classes of a confusion matrix that can still be read.
const CLASSES: usize = 64;
/// Letters of a class's name that are drawn.
const LETTERS: usize = 24;
/// Points that are drawn per output, evenly taken from all: more cannot be told apart.
const POINTS: usize = 1000;
/// Side of a scatter plot, in pixels.
const SIDE: u32 = 420;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart cannot be drawn: {0}")]
pub struct ChartError(pub(crate) String);

/// An SVG: of a classification the confusion matrix, of a regression what is predicted against what is actual. `answers` and
/// `data` are those that the details are of.
///
/// # Errors
/// If there are too many classes to draw.
pub fn chart(title: &str, details: &Details, answers: &Predictions, data: &Dataset) -> Result<String, ChartError> {
    let mut svg = String::new();
    let drawn = match details {
        Details::Classes { table, .. } if table.classes.len() > CLASSES => {
            let found = table.classes.len();
            Err(format!("there are {found} classes, and a matrix of more than {CLASSES} cannot be read; use --json")
                .into())
        }
        Details::Classes { table, .. } => matrices(&mut svg, &[(title.to_owned(), table)]),
        Details::Binary { outputs } => {
            let auc = |auc: Option<f64>| auc.map_or_else(String::new, |auc| format!(", ROC-AUC {auc:.3}"));
            let named = outputs.iter().map(|o| (format!("{title}, {}{}", o.output, auc(o.roc_auc)), &o.table));
            matrices(&mut svg, &named.take(PANELS).collect::<Vec<_>>())
        }
        Details::Regression { outputs, .. } => {
            let r2 = |r2: Option<f64>| r2.map_or_else(String::new, |r2| format!(", R² {r2:.3}"));
            let caption = |o: &super::OutputErrors| format!("{title}, {}{}", o.output, r2(o.errors.r2));
            scatter(&mut svg, &outputs.iter().take(PANELS).map(caption).collect::<Vec<_>>(), answers, &targets(data))
        }
    };
    drawn.map_err(|error| ChartError(error.to_string()))?;
    Ok(svg)
}

/// Where a confusion matrix has its parts, in pixels.
struct Layout {
    /// Size of a cell.
    cell: (i32, i32),
    /// Top left corner of the first cell.
    corner: (i32, i32),
    /// Size of the whole.
    size: (i32, i32),
}

impl Layout {
    fn new(title: &str, table: &ClassTable) -> Self {
        let count = table.classes.len() as i32;
        let longest =
            table.classes.iter().map(|class| class.name.chars().count().min(LETTERS)).max().unwrap_or(0) as i32;
        let largest = table.confusion.iter().flatten().max().copied().unwrap_or(0);
        let cell = (16 + 8 * largest.to_string().len().max(3) as i32, 30);
        let corner = (40 + 8 * longest, 70 + 8 * longest);
        let width = (corner.0 + count * cell.0 + 80).max(40 + 9 * title.chars().count() as i32);
        Self { cell, corner, size: (width, corner.1 + count * cell.1 + 20) }
    }
}

/// Confusion matrices below one another.
fn matrices(svg: &mut String, tables: &[(String, &ClassTable)]) -> Drawn {
    let layouts: Vec<Layout> = tables.iter().map(|(title, table)| Layout::new(title, table)).collect();
    let width = layouts.iter().map(|layout| layout.size.0).max().unwrap_or(1);
    let height: i32 = layouts.iter().map(|layout| layout.size.1).sum();
    let mut rest = SVGBackend::with_string(svg, (width as u32, height as u32)).into_drawing_area();
    rest.fill(&WHITE)?;
    for ((title, table), layout) in tables.iter().zip(layouts) {
        let (area, below) = rest.split_vertically(layout.size.1);
        matrix(&area, title, table, &layout)?;
        rest = below;
    }
    rest.present()?;
    Ok(())
}

/// One confusion matrix: the darker, the larger the cell's share of its row.
fn matrix(area: &Area<'_>, title: &str, table: &ClassTable, layout: &Layout) -> Drawn {
    let font = ("sans-serif", 15).into_font();
    let style = |h, v| TextStyle::from(font.clone()).pos(Pos::new(h, v));
    let turned = TextStyle::from(font.transform(FontTransform::Rotate270)).pos(Pos::new(HPos::Left, VPos::Center));
    let (corner, cell) = (layout.corner, layout.cell);
    let middle = |row: usize, column: usize| {
        (corner.0 + column as i32 * cell.0 + cell.0 / 2, corner.1 + row as i32 * cell.1 + cell.1 / 2)
    };
    let left = style(HPos::Left, VPos::Center);
    area.draw_text(title, &TextStyle::from(("sans-serif", 18)).pos(Pos::new(HPos::Left, VPos::Center)), (12, 18))?;
    area.draw_text("rows: actual, columns: predicted", &left, (12, 42))?;
    let count = table.classes.len();
    area.draw_text("recall", &left, (corner.0 + count as i32 * cell.0 + 10, corner.1 - 12))?;
    for (row, class) in table.classes.iter().enumerate() {
        let name = shortened(&class.name);
        area.draw_text(&name, &style(HPos::Right, VPos::Center), (corner.0 - 8, middle(row, 0).1))?;
        area.draw_text(&name, &turned, (middle(0, row).0, corner.1 - 8))?;
        let recall = if class.support == 0 { "never occurs".to_owned() } else { format!("{:.3}", class.recall) };
        area.draw_text(&recall, &left, (corner.0 + count as i32 * cell.0 + 10, middle(row, 0).1))?;
        for (column, &number) in table.confusion[row].iter().enumerate() {
            let share = number as f64 / class.support.max(1) as f64;
            let (x, y) = middle(row, column);
            let (from, to) = ((x - cell.0 / 2, y - cell.1 / 2), (x + cell.0 / 2, y + cell.1 / 2));
            area.draw(&Rectangle::new([from, to], blue(share).filled()))?;
            let colour = if share > 0.5 { WHITE } else { BLACK };
            area.draw_text(&number.to_string(), &style(HPos::Center, VPos::Center).color(&colour), (x, y))?;
        }
    }
    Ok(())
}

/// From nearly white for 0 to dark blue for 1.
fn blue(share: f64) -> RGBColor {
    let between = |from: f64, to: f64| (from + share * (to - from)) as u8;
    RGBColor(between(244.0, 8.0), between(247.0, 48.0), between(252.0, 107.0))
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

/// Actual and predicted values of each output, with the line on which they are equal.
fn scatter(svg: &mut String, captions: &[String], answers: &Predictions, targets: &[f32]) -> Drawn {
    let columns = captions.len().min(2);
    let rows = captions.len().div_ceil(columns);
    let root = SVGBackend::with_string(svg, (columns as u32 * SIDE, rows as u32 * SIDE)).into_drawing_area();
    root.fill(&WHITE)?;
    let width = answers.width;
    let every = (targets.len() / width).div_ceil(POINTS).max(1);
    for (output, (caption, area)) in captions.iter().zip(root.split_evenly((rows, columns))).enumerate() {
        let actual = targets.iter().skip(output).step_by(width).map(|&y| f64::from(y));
        let points: Vec<(f64, f64)> = actual.zip(answers.column(output).map(f64::from)).step_by(every).collect();
        let values = points.iter().flat_map(|&(x, y)| [x, y]);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let margin = ((high - low) * 0.05).max(1e-6 * high.abs().max(1.0));
        let (low, high) = (low - margin, high + margin);
        let mut chart = ChartBuilder::on(&area)
            .caption(caption, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(low..high, low..high)?;
        chart.configure_mesh().light_line_style(WHITE.mix(0.0)).x_desc("actual").y_desc("predicted").draw()?;
        chart.draw_series(LineSeries::new([(low, low), (high, high)], BLACK.mix(0.5)))?;
        let colour = Palette99::pick(output).mix(0.5);
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 2, colour.filled())))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use grulet::spec::Output;

    use super::*;
    use crate::data::Series;
    use crate::evaluate::BinaryOutput;
    use crate::nn::Loss;

    fn data(width: usize, targets: &[f32]) -> Dataset {
        let (name, x, targets) = ("0".to_owned(), vec![0.0; targets.len() / width], targets.to_vec());
        Dataset {
            series: vec![Series { name, group: None, start: 0, x, targets, weights: vec![] }],
            channels: vec!["a".to_owned()],
            units: vec![],
            classes: vec![],
            sample_rate: None,
            output: Output::EveryStep,
            target_width: width,
        }
    }

    fn matrix_of(names: &[String], pairs: &[(usize, usize)]) -> Result<String, ChartError> {
        let table = ClassTable::count(names, pairs.iter().copied());
        let answers = Predictions { width: 1, ..Predictions::default() };
        chart("title", &Details::Classes { top_k: vec![], table }, &answers, &data(1, &[]))
    }

    /// The drawn texts.
    fn texts(svg: &str) -> Vec<&str> {
        svg.split("<text").skip(1).filter_map(|text| text.split(['>', '<']).nth(1)).map(str::trim).collect()
    }

    #[test]
    fn a_matrix_has_names_counts_and_recalls() {
        let names = ["walk & run", "<rest>", "a name that is much longer than a cell"].map(str::to_owned);
        let pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 1)];
        let svg = matrix_of(&names, &pairs).unwrap();
        let texts = texts(&svg);
        for (name, times) in [("walk &amp; run", 2), ("&lt;rest&gt;", 2), ("a name that is much lon…", 2)] {
            assert_eq!(texts.iter().filter(|text| **text == name).count(), times, "{name} in {texts:?}");
        }
        let counts: Vec<&str> = texts.iter().copied().filter(|text| text.parse::<u64>().is_ok()).collect();
        assert_eq!(counts, ["3", "1", "0", "1", "1", "0", "0", "0", "0"]);
        assert!(texts.contains(&"0.750") && texts.contains(&"0.500") && texts.contains(&"never occurs"), "{texts:?}");
        // Half of the row and a quarter of it are not the same colour.
        assert_eq!((blue(0.0), blue(1.0)), (RGBColor(244, 247, 252), RGBColor(8, 48, 107)));
        assert!(svg.contains("fill=\"#7E93B3\"") && svg.contains("fill=\"#B9C5D7\""), "{svg}");
        assert_eq!(svg.matches("fill=\"#FFFFFF\">\n").count(), 1, "white on dark, where 3 of 4 are: {svg}");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let names: Vec<String> = (0..65).map(|class| class.to_string()).collect();
        let error = matrix_of(&names, &[]).unwrap_err().to_string();
        assert!(error.contains("65 classes") && error.contains("--json"), "{error}");
        assert!(matrix_of(&names[..64], &[]).is_ok());
    }

    #[test]
    fn binary_outputs_stand_below_one_another() {
        let table = ClassTable::count(&["no".to_owned(), "yes".to_owned()], [(0, 0), (1, 1)].into_iter());
        let output =
            |i: usize| BinaryOutput { output: format!("y{i}"), roc_auc: (i > 0).then_some(0.75), table: table.clone() };
        let details = Details::Binary { outputs: (0..20).map(output).collect() };
        let svg =
            chart("title", &details, &Predictions { width: 20, ..Predictions::default() }, &data(20, &[])).unwrap();
        let titles: Vec<&str> = texts(&svg).into_iter().filter(|text| text.starts_with("title")).collect();
        assert_eq!((titles.len(), titles[0], titles[1]), (PANELS, "title, y0", "title, y1, ROC-AUC 0.750"));
    }

    #[test]
    fn a_regression_has_a_panel_of_points_per_output() {
        let points = 2500usize;
        let targets: Vec<f32> = (0..2 * points).map(|i| (i % 2) as f32 * libm::sinf(i as f32)).collect();
        let (data, names) = (data(2, &targets), ["u", "v"].map(str::to_owned));
        let answers =
            Predictions { width: 2, values: targets.iter().map(|y| y * 0.5).collect(), ..Predictions::default() };
        let details = Details::of(Loss::MeanSquaredError, &answers, &data, &names, None).unwrap();
        let svg = chart("title", &details, &answers, &data).unwrap();
        let texts = texts(&svg);
        // The first never changes; the second is half of what it should be.
        assert!(texts.contains(&"title, u") && texts.contains(&"title, v, R² 0.750"), "{texts:?}");
        assert_eq!(svg.matches("<circle").count(), 2 * points.div_ceil(3));
    }
}
