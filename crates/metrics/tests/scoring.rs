//! The scoring rule, NaN, and rows that do not fit.

use serin_metrics::{
    Decision, EvaluationReport, MetricsError, MultiLabel, MultiLabelOptions, ProblemType, Regression, Reliability,
    SingleLabel, SingleLabelOptions, decide, probabilities,
};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn assert_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        let difference = (f64::from(found) - expected).abs();
        assert!(difference <= f64::from(f32::EPSILON) * expected.abs(), "{found} is not {expected}");
    }
}

#[test]
fn the_score_follows_the_problem_type() {
    let logits = [2.0, -1.0, 0.5];
    let exponentials = logits.map(|logit: f32| f64::from(logit).exp());
    let total: f64 = exponentials.iter().sum();
    let softmax = exponentials.map(|exponential| exponential / total);
    let sigmoid = exponentials.map(|exponential| exponential / (1.0 + exponential));
    assert_near(&probabilities(ProblemType::SingleLabel, &logits), &softmax);
    assert_near(&probabilities(ProblemType::MultiLabel, &logits), &sigmoid);
    assert_eq!(probabilities(ProblemType::Regression, &logits), logits);
    assert_near(&probabilities(ProblemType::SingleLabel, &logits[..1]), &sigmoid[..1]);
    assert!(probabilities(ProblemType::SingleLabel, &[]).is_empty());
}

#[test]
fn far_logits_do_not_overflow() {
    // Subtracting the element of largest magnitude (-120) instead of the maximum would give inf / inf.
    assert_eq!(probabilities(ProblemType::SingleLabel, &[-120.0, 3.0]), [3.8e-54_f64 as f32, 1.0]);
    assert_eq!(probabilities(ProblemType::SingleLabel, &[f32::MAX, -f32::MAX]), [1.0, 0.0]);
    assert_eq!(probabilities(ProblemType::SingleLabel, &[f32::NEG_INFINITY, 0.0]), [0.0, 1.0]);
    assert_eq!(probabilities(ProblemType::MultiLabel, &[-1000.0, 1000.0]), [0.0, 1.0]);
    assert_near(&probabilities(ProblemType::MultiLabel, &[-80.0]), &[(-80.0_f64).exp()]);
}

#[test]
fn decisions_break_ties_low_and_know_nan() {
    let single = |scores: &[f32]| decide(ProblemType::SingleLabel, scores, &[]);
    assert_eq!(single(&[0.4, 0.4, 0.2]), Decision::Class(0));
    assert_eq!(single(&[0.1, 0.9]), Decision::Class(1));
    for nan in [[f32::NAN, 0.9], [0.9, f32::NAN]] {
        assert_eq!(single(&nan), Decision::Undefined);
        assert_eq!(decide(ProblemType::MultiLabel, &nan, &[]), Decision::Undefined);
        assert_eq!(decide(ProblemType::Regression, &nan, &[]), Decision::Undefined);
    }
    assert_eq!(single(&probabilities(ProblemType::SingleLabel, &[f32::INFINITY, 0.0])), Decision::Undefined);
    assert_eq!(single(&[]), Decision::Undefined);
    let labels = |thresholds: &[f32]| decide(ProblemType::MultiLabel, &[0.5, 0.51, 0.2], thresholds);
    assert_eq!(labels(&[]), Decision::Labels(vec![1]), "strictly above 0.5");
    assert_eq!(labels(&[0.4, 0.6, 0.1]), Decision::Labels(vec![0, 2]));
    assert_eq!(decide(ProblemType::Regression, &[0.3], &[]), Decision::Values(vec![0.3]));
}

#[test]
fn nan_rows_are_wrong_and_told_and_never_class_0() {
    let mut evaluation = SingleLabel::new(&names(2), SingleLabelOptions::default()).unwrap();
    for label in [0, 0, 0, 1] {
        assert_eq!(evaluation.push_logits(label, &[f32::NAN, 1.0]), Ok(None));
    }
    let confusion = evaluation.confusion();
    assert_eq!((confusion.rows(), confusion.correct(), confusion.undecided()), (4, 0, 4));
    assert_eq!(confusion.count(0, Some(0)), 0);
    let report = EvaluationReport::from(&evaluation);
    assert_eq!(report.get("eval_accuracy"), Some(0.0));
    assert_eq!(report.get("eval_nan_predictions"), Some(4.0));
    assert_eq!((report.get("eval_nll"), report.get("eval_auc"), report.get("eval_ece")), (None, None, None));
    assert!(report.to_string().contains("without a prediction: 4."), "{report}");

    let mut evaluation = MultiLabel::new(&names(2), MultiLabelOptions::default()).unwrap();
    evaluation.push_logits(&[false, false], &[f32::NAN, -1.0]).unwrap();
    evaluation.push_logits(&[true, false], &[1.0, -1.0]).unwrap();
    let rows = evaluation.row_scores();
    assert_eq!((rows.undecided, rows.exact, rows.hamming_loss), (1, 1, Some(0.5)));
    assert_eq!(rows.ranking_average_precision, Some(0.5));
    assert_eq!(evaluation.report().counts()[0].false_positives, 0, "nothing was predicted");

    let mut evaluation = Regression::default();
    evaluation.push(1.0, 1.5).unwrap();
    evaluation.push(2.0, f32::INFINITY).unwrap();
    let scores = evaluation.scores();
    assert_eq!((scores.rows, scores.undecided, scores.mean_absolute_error), (2, 1, Some(0.5)));
    assert!(EvaluationReport::from(&evaluation).notes()[0].contains("without a prediction: 1."));
}

#[test]
fn without_rows_every_score_is_undefined_and_nothing_panics() {
    let single = SingleLabel::new(&names(3), SingleLabelOptions::default()).unwrap();
    let multi = MultiLabel::new(&names(3), MultiLabelOptions::default()).unwrap();
    for report in [EvaluationReport::from(&single), EvaluationReport::from(&multi)] {
        assert_eq!((report.get("eval_samples"), report.get("eval_accuracy")), (Some(0.0), None));
        assert!(report.intervals().is_empty());
        assert!(report.to_string().contains("undefined"));
    }
    assert_eq!(EvaluationReport::from(&Regression::default()).get("eval_mse"), None);
}

#[test]
fn rows_that_do_not_fit_are_refused_by_number_and_not_counted() {
    let mut evaluation = SingleLabel::new(&names(2), SingleLabelOptions::default()).unwrap();
    evaluation.push_logits(1, &[0.0, 1.0]).unwrap();
    let error = evaluation.push_logits(2, &[0.0, 1.0]).unwrap_err();
    assert_eq!(error, MetricsError::LabelOutOfRange { row: 1, label: 2, classes: 2 });
    assert!(error.to_string().starts_with("row 1: label 2 "), "{error}");
    let error = evaluation.push_probabilities(1, &[1.0]).unwrap_err();
    assert_eq!(error, MetricsError::WrongLength { row: 1, what: "scores", found: 1, expected: 2 });
    assert_eq!(evaluation.confusion().rows(), 1);

    let mut evaluation = MultiLabel::new(&names(2), MultiLabelOptions::default()).unwrap();
    assert!(evaluation.push_logits(&[true], &[0.0, 1.0]).is_err());
    assert!(evaluation.push_logits(&[true, false], &[0.0]).is_err());
    assert_eq!(evaluation.row_scores().rows, 0);
    assert!(matches!(Regression::default().push(f32::NAN, 0.0), Err(MetricsError::TargetNotFinite { row: 0, .. })));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let few = MetricsError::TooFewLabels { count: 1, least: 2 };
    assert_eq!(SingleLabel::new(&names(1), SingleLabelOptions::default()).unwrap_err(), few);
    assert!(MultiLabel::new(&[], MultiLabelOptions::default()).is_err());
    let with = |thresholds| MultiLabel::new(&names(2), MultiLabelOptions { thresholds, ..Default::default() });
    assert!(matches!(with(vec![0.5]), Err(MetricsError::WrongLength { what: "thresholds", .. })));
    assert!(matches!(with(vec![0.5, 1.5]), Err(MetricsError::BadThreshold { label: 1, .. })));
    assert!(matches!(with(vec![f32::NAN, 0.5]), Err(MetricsError::BadThreshold { label: 0, .. })));
}

#[test]
fn probabilities_and_logits_of_a_row_give_the_same_report() {
    let mut from_logits = SingleLabel::new(&names(3), SingleLabelOptions::default()).unwrap();
    let mut from_probabilities = from_logits.clone();
    for (label, row) in [(0, [1.0, 0.5, -2.0]), (2, [0.3, 0.2, 0.1]), (1, [-1.0, 3.0, 2.5])] {
        from_logits.push_logits(label, &row).unwrap();
        from_probabilities.push_probabilities(label, &probabilities(ProblemType::SingleLabel, &row)).unwrap();
    }
    let (left, right) = (EvaluationReport::from(&from_logits), EvaluationReport::from(&from_probabilities));
    for ((key, left), (_, right)) in left.numbers().zip(right.numbers()) {
        assert!((left - right).abs() <= 1e-6, "{key}: {left} and {right}");
    }
}

#[test]
fn a_confidence_on_an_edge_belongs_to_the_bin_below() {
    let mut reliability = Reliability::default();
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, f64::NAN].into_iter().for_each(|confidence| reliability.push(confidence, true));
    let filled: Vec<usize> = (0..15).filter(|&bin| reliability.bins()[bin].rows > 0).collect();
    assert_eq!(filled, [0, 2, 5, 8, 11, 14]);
    assert_eq!(reliability.rows(), 6, "NaN is left out");
}
