//! What stands behind the scores: class by class, output by output.

use grulet::spec::Output;
use serde::Serialize;

use super::auc::roc_auc;
use super::classes::{ClassTable, TopK, top_k};
use super::{Predictions, targets};
use crate::data::Dataset;
use crate::nn::{Errors, Loss, Metrics, argmax};

/// The k of the top-k accuracies that are told unless others are asked for, as far as there are more classes.
const TOP: [usize; 3] = [2, 3, 5];

/// Every figure of an evaluation that is more than one number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Details {
    /// One of several classes: the most probable.
    Classes {
        /// Top-k accuracies.
        top_k: Vec<TopK>,
        /// Classes and confusion matrix.
        #[serde(flatten)]
        table: ClassTable,
    },
    /// A yes or no in each output: yes above 0.5.
    Binary {
        /// Each output on its own.
        outputs: Vec<BinaryOutput>,
    },
    /// Real values.
    Regression {
        /// All outputs together.
        all: Errors,
        /// Each output on its own.
        outputs: Vec<OutputErrors>,
    },
}

/// One output of a binary classifier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BinaryOutput {
    /// Its name.
    pub output: String,
    /// Area under the ROC curve; None where all targets are alike.
    pub roc_auc: Option<f64>,
    /// No and yes as two classes.
    #[serde(flatten)]
    pub table: ClassTable,
}

/// One output of a regression.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputErrors {
    /// Its name.
    pub output: String,
    /// How far it is off, in its unit.
    #[serde(flatten)]
    pub errors: Errors,
}

impl Details {
    /// Details of answers against the targets of the same dataset. `outputs` are the outputs' names; `top` are the k of the
    /// top-k accuracies, 2, 3 and 5 unless given. None where there is nothing to compare.
    pub fn of(
        loss: Loss,
        answers: &Predictions,
        data: &Dataset,
        outputs: &[String],
        top: Option<&[usize]>,
    ) -> Option<Self> {
        let (width, targets) = (answers.width, targets(data));
        if targets.is_empty() {
            return None;
        }
        Some(match loss {
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => {
                let class = |row: &[f32]| if row.len() == 1 { row[0] as usize } else { argmax(row) };
                let actual: Vec<usize> = targets.chunks_exact(data.target_width).map(class).collect();
                let usual: Vec<usize> = TOP.into_iter().filter(|&k| k < width).collect();
                let predicted = answers.values.chunks_exact(width).map(argmax);
                let table = ClassTable::count(&data.classes, actual.iter().copied().zip(predicted));
                Details::Classes {
                    top_k: top_k(width, &answers.values, &actual, top.unwrap_or(&usual)),
                    table: match data.output {
                        Output::Sequence(decoding) => table.averaged_without(decoding.start.into()),
                        Output::EveryStep | Output::LastStep => table,
                    },
                }
            }
            Loss::BinaryCrossEntropy => {
                // One output tells two named classes apart; each of several outputs has the name and is yes or no.
                let two = if width == 1 && data.classes.len() == 2 { &data.classes[..] } else { &[] };
                let names = if two.is_empty() { ["no".to_owned(), "yes".to_owned()].to_vec() } else { two.to_vec() };
                let of_output = |(index, output): (usize, &String)| {
                    let actual = || targets.iter().skip(index).step_by(width).map(|&y| y > 0.5);
                    let decisions = answers.column(index).map(|p| usize::from(p > 0.5));
                    BinaryOutput {
                        output: output.clone(),
                        roc_auc: roc_auc(answers.column(index).zip(actual())),
                        table: ClassTable::count(&names, actual().map(usize::from).zip(decisions)),
                    }
                };
                Details::Binary { outputs: outputs.iter().enumerate().map(of_output).collect() }
            }
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => {
                let metrics = Metrics::of_outputs(loss, width, &answers.values, &targets);
                let named = outputs.iter().zip(metrics.output_errors());
                let outputs = named.map(|(name, errors)| OutputErrors { output: name.clone(), errors }).collect();
                Details::Regression { all: metrics.errors()?, outputs }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use grulet::spec::Output;

    use super::*;
    use crate::data::Series;

    fn data(width: usize, classes: &[&str], targets: &[f32]) -> Dataset {
        let (name, x, targets) = ("0".to_owned(), vec![0.0; targets.len() / width], targets.to_vec());
        Dataset {
            series: vec![Series { name, group: None, start: 0, x, targets, weights: vec![] }],
            channels: vec!["a".to_owned()],
            units: vec![],
            classes: strings(classes),
            sample_rate: None,
            output: Output::EveryStep,
            target_width: width,
        }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn answers(width: usize, values: &[f32]) -> Predictions {
        Predictions { width, values: values.to_vec(), ..Predictions::default() }
    }

    const SPARSE: Loss = Loss::SparseCategoricalCrossEntropy;

    #[test]
    fn class_numbers_and_one_hot_rows_give_the_same() {
        let classes = ["a", "b", "c"];
        let outputs = strings(&classes);
        let answers = answers(3, &[0.6, 0.3, 0.1, 0.2, 0.3, 0.5, 0.1, 0.7, 0.2]);
        let sparse = Details::of(SPARSE, &answers, &data(1, &classes, &[0.0, 1.0, 2.0]), &outputs, None);
        let one_hot = data(3, &classes, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(Details::of(Loss::CategoricalCrossEntropy, &answers, &one_hot, &outputs, None), sparse);
        let Some(Details::Classes { top_k, table }) = sparse else { panic!("{sparse:?}") };
        assert_eq!(table.confusion, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]);
        // Of three classes only k = 2 says anything.
        assert_eq!(top_k, [TopK { k: 2, accuracy: 1.0 }]);
        assert_eq!(table.classes[1].name, "b");
    }

    #[test]
    fn the_k_that_are_asked_for_replace_the_usual() {
        let classes = ["a", "b", "c", "d", "e", "f"];
        let (answers, data) = (answers(6, &[0.4, 0.3, 0.1, 0.1, 0.1, 0.0]), data(1, &classes, &[1.0]));
        let ks = |top| match Details::of(SPARSE, &answers, &data, &strings(&classes), top) {
            Some(Details::Classes { top_k, .. }) => top_k.iter().map(|top| top.k).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!((ks(None), ks(Some(&[4]))), (vec![2, 3, 5], vec![4]));
    }

    #[test]
    fn each_binary_output_stands_on_its_own() {
        let of = |classes: &[&str], width, values: &[f32], targets: &[f32]| {
            let outputs = if width == 1 { strings(&["y0"]) } else { strings(classes) };
            match Details::of(
                Loss::BinaryCrossEntropy,
                &answers(width, values),
                &data(width, classes, targets),
                &outputs,
                None,
            ) {
                Some(Details::Binary { outputs }) => outputs,
                other => panic!("{other:?}"),
            }
        };
        let values = [0.9, 0.5, 0.2, 0.6, 0.6, 0.8];
        let [p, q] = &of(&["p", "q"], 2, &values, &[1.0, 1.0, 0.0, 1.0, 0.0, 1.0])[..] else { panic!("two outputs") };
        assert_eq!((&p.output[..], p.roc_auc, &p.table.confusion), ("p", Some(1.0), &vec![vec![1, 1], vec![0, 1]]));
        // 0.5 is a no; all targets are yes, so there is nothing to rank.
        assert_eq!((&q.output[..], q.roc_auc, &q.table.confusion), ("q", None, &vec![vec![0, 0], vec![1, 2]]));
        assert_eq!(q.table.classes[0].name, "no");
        let named = of(&["down", "up"], 1, &[0.7, 0.1], &[1.0, 1.0]);
        assert_eq!((&named[0].table.classes[1].name[..], named[0].table.classes[1].recall), ("up", 0.5));
    }

    #[test]
    fn regressions_name_their_outputs() {
        let data = data(2, &[], &[1.0, 10.0, 3.0, 10.0]);
        let details = Details::of(
            Loss::MeanSquaredError,
            &answers(2, &[2.0, 10.0, 2.0, 14.0]),
            &data,
            &strings(&["u", "v"]),
            None,
        );
        let json = serde_json::to_value(details.unwrap()).unwrap();
        let expected = serde_json::json!({
            "task": "regression",
            "all": { "mae": 1.5, "rmse": 4.5f64.sqrt(), "r2": null },
            "outputs": [
                { "output": "u", "mae": 1.0, "rmse": 1.0, "r2": 0.0 },
                { "output": "v", "mae": 2.0, "rmse": 8f64.sqrt(), "r2": null },
            ],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn of_nothing_there_are_no_details() {
        let (answers, data) = (answers(1, &[]), data(1, &[], &[]));
        for loss in [SPARSE, Loss::BinaryCrossEntropy, Loss::MeanSquaredError] {
            assert_eq!(Details::of(loss, &answers, &data, &strings(&["y0"]), None), None);
        }
    }
}
