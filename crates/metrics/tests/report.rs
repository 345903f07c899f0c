//! TweetEval scores, slices and what a report looks like.

use serde_json::Value;
use serin_metrics::{
    Bootstrap, ClassReport, Counts, EvaluationReport, SingleLabel, SingleLabelOptions, SliceKey, Slices, TweetEvalTask,
    length_bucket, truncation,
};
use unicode_width::UnicodeWidthStr;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn evaluated(labels: &[&str], rows: &[(u32, usize)]) -> SingleLabel {
    evaluated_with(labels, rows, SingleLabelOptions::default())
}

fn evaluated_with(labels: &[&str], rows: &[(u32, usize)], options: SingleLabelOptions) -> SingleLabel {
    let mut evaluation = SingleLabel::new(&owned(labels), options).unwrap();
    for &(label, prediction) in rows {
        let mut logits = vec![0.0; labels.len()];
        logits[prediction] = 2.0;
        evaluation.push_logits(label, &logits).unwrap();
    }
    evaluation
}

#[test]
fn tweeteval_tasks_are_known_by_name_and_by_labels() {
    use TweetEvalTask::*;
    for (name, task) in [
        ("Sentiment", Some(Sentiment)),
        ("tweet_eval/IRONY", Some(Irony)),
        ("data/tweeteval/hate/", Some(Hate)),
        ("stance_climate", Some(Stance)),
        ("tweet_eval:emoji", Some(Emoji)),
        ("imdb", None),
        ("whatever/else", None),
        ("", None),
    ] {
        assert_eq!(TweetEvalTask::from_name(name), task, "{name}");
    }
    for (labels, task) in [
        (&["Negative", "NEUTRAL", "positive"][..], Some(Sentiment)),
        (&["non_irony", "irony"], Some(Irony)),
        (&["not-hate", "hate"], Some(Hate)),
        (&["offensive", "not-offensive"], Some(Offensive)),
        (&["anger", "joy", "optimism", "sadness"], Some(Emotion)),
        (&["none", "against", "favour"], Some(Stance)),
        (&["negative", "positive"], None),
        (&["LABEL_0", "LABEL_1", "LABEL_2"], None),
    ] {
        assert_eq!(TweetEvalTask::from_labels(&owned(labels)), task, "{labels:?}");
    }
    let mapping = "❤ 😍 😂 💕 🔥 😊 😎 ✨ 💙 😘 📷 🇺🇸 ☀ 💜 😉 💯 😁 🎄 📸 😜";
    let emoji: Vec<&str> = mapping.split(' ').collect();
    assert_eq!(TweetEvalTask::from_labels(&owned(&emoji)), Some(Emoji));
}

#[test]
fn tweeteval_scores_follow_the_official_script() {
    // Counts with F1 2/3, 2/5 and 4/5, recall 1/2, 1/4 and 1.
    let counts =
        |true_positives, false_positives, false_negatives| Counts { true_positives, false_positives, false_negatives };
    let report = ClassReport::new(vec![counts(1, 0, 1), counts(1, 0, 3), counts(2, 1, 0)]);
    let score = |task: TweetEvalTask, labels: &[&str]| task.score(&report, &owned(labels)).unwrap();
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    let macro_f1 = (2.0 / 3.0 + 2.0 / 5.0 + 4.0 / 5.0) / 3.0;
    near(score(TweetEvalTask::Sentiment, &["negative", "neutral", "positive"]), 7.0 / 12.0);
    for task in [TweetEvalTask::Emoji, TweetEvalTask::Emotion, TweetEvalTask::Hate, TweetEvalTask::Offensive] {
        near(score(task, &["a", "b", "c"]), macro_f1);
    }
    near(score(TweetEvalTask::Irony, &["0", "1", "2"]), 2.0 / 5.0);
    near(score(TweetEvalTask::Irony, &["Irony", "non_irony", "x"]), 2.0 / 3.0);
    near(score(TweetEvalTask::Stance, &["LABEL_0", "LABEL_1", "LABEL_2"]), 3.0 / 5.0);
    near(score(TweetEvalTask::Stance, &["favor", "against", "none"]), (2.0 / 3.0 + 2.0 / 5.0) / 2.0);
    assert_eq!(TweetEvalTask::Stance.score(&ClassReport::new(vec![]), &[]), None);
}

#[test]
fn slices_are_ordered_by_length_and_bounded() {
    let mut slices = Slices::new(2);
    for (tokens, prediction) in [(512, 1), (0, 0), (16, 0), (17, 1), (300, 0), (512, 1)] {
        slices.push(length_bucket(tokens), 1, Some(prediction)).unwrap();
        slices.push(truncation(tokens == 512), 1, Some(prediction)).unwrap();
    }
    let scores = slices.scores();
    let shown: Vec<_> = scores.iter().map(|slice| (slice.name.as_str(), slice.rows, slice.accuracy.unwrap())).collect();
    let expected = [
        ("0-16 tokens", 2, 0.0),
        ("17-32 tokens", 1, 1.0),
        ("257-512 tokens", 3, 2.0 / 3.0),
        ("whole", 4, 0.25),
        ("truncated", 2, 1.0),
    ];
    assert_eq!(shown, expected);
    let mut slices = Slices::new(2);
    (0..1000).for_each(|row| slices.push(SliceKey::new("text", &row.to_string()), 0, None).unwrap());
    let scores = slices.scores();
    let other = scores.last().unwrap();
    assert_eq!((scores.len(), other.name.as_str(), other.rows), (257, "(other)", 1000 - 256));
    assert_eq!(scores.iter().map(|slice| slice.rows).sum::<u64>(), 1000);
    length_bucket(usize::MAX);
}

#[test]
fn json_has_the_names_of_the_field() {
    let rows = [(0, 0), (0, 1), (1, 1), (1, 1)];
    let report = EvaluationReport::from(&evaluated(&["neg", "pos"], &rows)).with_loss(0.25).with_truncated(0);
    let json = serde_json::to_value(&report).unwrap();
    for (key, expected) in [
        ("eval_loss", 0.25),
        ("eval_accuracy", 0.75),
        ("eval_precision", 2.0 / 3.0),
        ("eval_recall", 1.0),
        ("eval_f1", 0.8),
        ("eval_auc", 0.75),
        ("eval_recall_macro", 0.75),
    ] {
        assert_eq!(json[key], expected, "{key}");
    }
    for key in ["f1", "precision", "recall"]
        .iter()
        .flat_map(|name| ["macro", "micro", "weighted"].map(|kind| format!("eval_{name}_{kind}")))
    {
        assert!(json[&key].is_f64(), "{key}");
    }
    assert_eq!((json["eval_samples"].as_u64(), json["eval_truncated"].as_u64()), (Some(4), Some(0)));
    assert_eq!(json["confusion_matrix"]["rows"], serde_json::json!([[1, 1], [0, 2]]));
    let layout: Vec<&String> = json["classification_report"].as_object().unwrap().keys().collect();
    assert_eq!(layout, ["neg", "pos", "accuracy", "macro avg", "weighted avg"]);
    assert_eq!(json["notes"], serde_json::json!([]));
    let methods: Vec<_> =
        json["confidence_intervals"].as_array().unwrap().iter().map(|i| (&i["metric"], &i["method"])).collect();
    assert!(methods.contains(&(&Value::from("eval_accuracy"), &Value::from("wilson"))));
    assert!(methods.contains(&(&Value::from("eval_f1_macro"), &Value::from("bootstrap"))));
}

#[test]
fn labels_that_would_repeat_a_key_stay_apart() {
    let report = EvaluationReport::from(&evaluated(&["accuracy", "macro avg", "b"], &[(0, 0), (1, 1), (2, 2)]));
    let json = serde_json::to_value(&report).unwrap();
    let layout: Vec<&String> = json["classification_report"].as_object().unwrap().keys().collect();
    assert_eq!(layout, ["accuracy (label 0)", "macro avg (label 1)", "b", "accuracy", "macro avg", "weighted avg"]);
}

#[test]
fn columns_line_up_whatever_the_script() {
    let labels = ["中立", "😊 glad", "e\u{301}tat", "plain"];
    let options = SingleLabelOptions { tweeteval: Some(TweetEvalTask::Emotion), ..Default::default() };
    let report = EvaluationReport::from(&evaluated_with(&labels, &[(0, 0), (1, 2), (2, 2), (3, 1)], options));
    let text = report.to_string();
    let matrix: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("true \\ predicted")).take(5).collect();
    let widths: Vec<usize> = matrix.iter().map(|line| line.width()).collect();
    assert_eq!(widths, vec![widths[0]; 5], "{text}");
    assert!(text.contains("TweetEval (macro F1)"), "{text}");
    assert!(text.contains("reliability: ECE "), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours");
}

#[test]
fn control_characters_of_a_label_do_not_reach_the_terminal() {
    let long = "x".repeat(100);
    let report = EvaluationReport::from(&evaluated(&["a\u{1b}[2J\nb", &long], &[(0, 0), (1, 0)]));
    let text = report.to_string();
    assert!(!text.contains('\u{1b}') && text.contains("a\u{fffd}[2J\u{fffd}b"), "{text}");
    assert!(text.lines().all(|line| line.width() < 130) && text.contains("x…"), "{text}");
}

#[test]
fn many_labels_show_their_worst_mistakes_only() {
    let labels: Vec<String> = (0..28).map(|label| format!("label{label}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let rows: Vec<(u32, usize)> = (0..280)
        .map(|row| (row % 28, if row % 4 == 0 { (row as usize + 1) % 28 } else { row as usize % 28 }))
        .collect();
    let options = SingleLabelOptions { bootstrap: Bootstrap { draws: 10, seed: 0 }, ..Default::default() };
    let text = EvaluationReport::from(&evaluated_with(&labels, &rows, options)).to_string();
    assert!(!text.contains("true \\ predicted"), "{text}");
    let listed =
        text.lines().skip_while(|line| !line.starts_with("most confused")).skip(1).take_while(|line| !line.is_empty());
    assert_eq!(listed.count(), 7, "the seven kinds of mistake made: {text}");
}

#[test]
fn absent_classes_are_named() {
    let report = EvaluationReport::from(&evaluated(&["a", "b", "c"], &[(0, 0), (1, 0)]));
    let told = "Neither in the labels nor in the predictions: c. ";
    assert!(report.notes().iter().any(|note| note.starts_with(told)), "{:?}", report.notes());
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["classification_report"].get("c").is_none(), "as scikit-learn");
}
