//! Every metric against the numbers of scikit-learn and scipy (`golden/metrics_goldens.py`).

use serde_json::Value;
use serin_metrics::{
    Average, Bootstrap, ClassScores, EvaluationReport, MultiLabel, MultiLabelOptions, PairedOutcomes, Regression,
    SingleLabel, SingleLabelOptions, wilson,
};

fn cases(kind: &str) -> Vec<Value> {
    let goldens: Value = serde_json::from_str(include_str!("data/goldens.json")).unwrap();
    let cases = goldens[kind].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "no {kind} cases");
    cases
}

/// Equal to 1e-9 relative; JSON null is `None`.
#[track_caller]
fn assert_close(what: &str, case: &Value, found: Option<f64>, expected: &Value) {
    let name = &case["name"];
    match (found, expected.as_f64()) {
        (None, None) => assert!(expected.is_null(), "{name}: {what}: no number in the goldens"),
        (Some(found), Some(expected)) => {
            let tolerance = 1e-9 * expected.abs().max(1e-3);
            assert!((found - expected).abs() <= tolerance, "{name}: {what}: {found} is not {expected}");
        }
        _ => panic!("{name}: {what}: {found:?} is not {expected}"),
    }
}

fn logits(case: &Value, key: &str) -> Vec<Vec<f32>> {
    let rows = case[key].as_array().unwrap().iter();
    rows.map(|row| row.as_array().unwrap().iter().map(|x| x.as_f64().map_or(f32::NAN, |x| x as f32)).collect())
        .collect()
}

fn names(count: &Value) -> Vec<String> {
    (0..count.as_u64().unwrap()).map(|class| class.to_string()).collect()
}

fn assert_scores(what: &str, case: &Value, found: ClassScores, expected: [&Value; 3]) {
    let found = [found.precision, found.recall, found.f1];
    for ((part, found), expected) in ["precision", "recall", "f1"].iter().zip(found).zip(expected) {
        assert_close(&format!("{what} {part}"), case, Some(found), expected);
    }
}

fn assert_averages(case: &Value, report: &serin_metrics::ClassReport) {
    for (name, average) in [("macro", Average::Macro), ("micro", Average::Micro), ("weighted", Average::Weighted)] {
        let expected = &case["averages"][name];
        assert_scores(name, case, report.average(average), [&expected[0], &expected[1], &expected[2]]);
    }
    for (class, counts) in report.counts().iter().enumerate() {
        let expected = &case["per_class"];
        let what = format!("class {class}");
        let columns = [&expected[0][class], &expected[1][class], &expected[2][class]];
        assert_scores(&what, case, counts.scores(), columns);
        assert_eq!(Some(counts.support() as f64), expected[3][class].as_f64(), "{what} support");
    }
}

#[test]
fn single_label_matches_scikit_learn() {
    for case in cases("single") {
        let options = SingleLabelOptions { bootstrap: Bootstrap { draws: 0, seed: 0 }, ..Default::default() };
        let mut evaluation = SingleLabel::new(&names(&case["classes"]), options).unwrap();
        for (row, label) in logits(&case, "logits").iter().zip(case["labels"].as_array().unwrap()) {
            evaluation.push_logits(label.as_u64().unwrap() as u32, row).unwrap();
        }
        let confusion = evaluation.confusion();
        assert_eq!(Some(confusion.correct()), case["correct"].as_u64());
        assert_close("accuracy", &case, confusion.accuracy(), &case["accuracy"]);
        assert_close("matthews", &case, Some(confusion.matthews_correlation()), &case["matthews"]);
        assert_close("kappa", &case, confusion.cohen_kappa(), &case["kappa"]);
        assert_close("balanced", &case, confusion.balanced_accuracy(), &case["balanced_accuracy"]);
        assert_close("ece", &case, evaluation.reliability().expected_calibration_error(), &case["ece"]);
        assert_close("nll", &case, evaluation.negative_log_likelihood(), &case["nll"]);
        assert_close("brier", &case, evaluation.brier_score(), &case["brier"]);
        for (k, accuracy) in evaluation.top_k_accuracy() {
            if let Some(expected) = case["top_k"].get(k.to_string()) {
                assert_close(&format!("top {k}"), &case, accuracy, expected);
            }
        }
        for (label, row) in confusion.dense().into_iter().enumerate() {
            assert_eq!(serde_json::json!(row), case["confusion"][label], "{} row {label}", case["name"]);
        }
        assert_averages(&case, &confusion.report());
        assert_order(&case, evaluation.scores());
        assert_order_and_layout(&case, &EvaluationReport::from(&evaluation));
    }
}

/// ROC-AUC and average precision of each class or label.
fn assert_order(case: &Value, scores: &serin_metrics::ScoreRows) {
    let scores = scores.order_scores();
    assert_eq!(scores.len(), case["auc"].as_array().unwrap().len());
    for (class, found) in scores.into_iter().enumerate() {
        assert_close(&format!("auc {class}"), case, found.roc_auc, &case["auc"][class]);
        assert_close(&format!("ap {class}"), case, found.average_precision, &case["average_precision"][class]);
    }
}

fn assert_order_and_layout(case: &Value, report: &EvaluationReport) {
    if case["classes"] == 2 {
        assert_close("auc", case, report.get("eval_auc"), &case["auc"][0]);
        assert_close("ap", case, report.get("eval_average_precision"), &case["average_precision"][0]);
    } else {
        assert_close("auc macro", case, report.get("eval_roc_auc_ovr"), &case["auc_macro"]);
        assert_close("auc weighted", case, report.get("eval_roc_auc_ovr_weighted"), &case["auc_weighted"]);
        let areas: Vec<f64> = case["average_precision"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        let mean = serde_json::json!(areas.iter().sum::<f64>() / areas.len() as f64);
        assert_close("ap macro", case, report.get("eval_average_precision_macro"), &mean);
    }
    let found = serde_json::to_value(report).unwrap();
    let layout = found["classification_report"].as_object().unwrap();
    for (key, expected) in case["report"].as_object().unwrap() {
        for part in ["precision", "recall", "f1-score", "support"] {
            assert_close(&format!("{key} {part}"), case, layout[key][part].as_f64(), &expected[part]);
        }
    }
    assert_eq!(layout.len(), case["report"].as_object().unwrap().len() + 1, "and accuracy");
    assert_close("layout accuracy", case, layout["accuracy"].as_f64(), &case["accuracy"]);
}

#[test]
fn multi_label_matches_scikit_learn() {
    for case in cases("multi") {
        let labels = names(&case["labels"]);
        let thresholds = vec![case["threshold"].as_f64().unwrap() as f32; labels.len()];
        let options = MultiLabelOptions { thresholds, ..Default::default() };
        let mut evaluation = MultiLabel::new(&labels, options).unwrap();
        for (truth, row) in case["truth"].as_array().unwrap().iter().zip(logits(&case, "logits")) {
            let truth: Vec<bool> = truth.as_array().unwrap().iter().map(|flag| *flag == 1).collect();
            evaluation.push_logits(&truth, &row).unwrap();
        }
        let rows = evaluation.row_scores();
        assert_close("subset", &case, rows.subset_accuracy, &case["subset_accuracy"]);
        assert_close("hamming", &case, rows.hamming_loss, &case["hamming"]);
        assert_close("lrap", &case, rows.ranking_average_precision, &case["lrap"]);
        assert_close("bce", &case, rows.binary_cross_entropy, &case["bce"]);
        let samples = &case["averages"]["samples"];
        assert_scores("samples", &case, rows.samples.unwrap(), [&samples[0], &samples[1], &samples[2]]);
        assert_averages(&case, &evaluation.report());
        assert_order(&case, evaluation.scores());
        let report = EvaluationReport::from(&evaluation);
        let mean = |key: &str| {
            let defined: Vec<f64> = case[key].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            let mean = defined.iter().sum::<f64>() / defined.len() as f64;
            if defined.is_empty() { Value::Null } else { serde_json::json!(mean) }
        };
        assert_close("auc", &case, report.get("eval_roc_auc_macro"), &mean("auc"));
        assert_close("ap", &case, report.get("eval_average_precision_macro"), &mean("average_precision"));
    }
}

#[test]
fn regression_matches_scikit_learn_and_scipy() {
    for case in cases("regression") {
        let mut evaluation = Regression::default();
        let column = |key: &str| -> Vec<f32> {
            case[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
        };
        for (target, prediction) in column("target").into_iter().zip(column("predicted")) {
            evaluation.push(target, prediction).unwrap();
        }
        let scores = evaluation.scores();
        assert_close("mse", &case, scores.mean_squared_error, &case["mse"]);
        assert_close("rmse", &case, scores.root_mean_squared_error, &case["rmse"]);
        assert_close("mae", &case, scores.mean_absolute_error, &case["mae"]);
        assert_close("r2", &case, scores.r2, &case["r2"]);
        assert_close("pearson", &case, scores.pearson, &case["pearson"]);
        assert_close("spearman", &case, scores.spearman, &case["spearman"]);
    }
}

#[test]
fn mcnemar_matches_the_binomial_distribution_of_scipy() {
    for case in cases("mcnemar") {
        let count = |key: &str| case[key].as_u64().unwrap();
        let mut outcomes = PairedOutcomes::new(2);
        (0..count("only_first")).for_each(|_| outcomes.push(0, Some(0), Some(1)).unwrap());
        (0..count("only_second")).for_each(|_| outcomes.push(0, None, Some(0)).unwrap());
        let test = outcomes.mcnemar();
        assert_close("exact", &case, Some(test.exact_p), &case["exact"]);
        assert_close("mid", &case, Some(test.mid_p), &case["mid"]);
    }
}

#[test]
fn wilson_matches_scipy() {
    for case in cases("wilson") {
        let interval = wilson(case["successes"].as_u64().unwrap(), case["trials"].as_u64().unwrap()).unwrap();
        assert_close("low", &case, Some(interval.low), &case["low"]);
        assert_close("high", &case, Some(interval.high), &case["high"]);
    }
    assert_eq!(wilson(0, 0), None);
}
