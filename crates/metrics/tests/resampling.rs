//! Intervals and significance against resampling rows and enumerating swaps the long way.

use serin_metrics::{
    Average, Bootstrap, ConfusionMatrix, EvaluationReport, Interval, PairedOutcomes, ScoreRows, SingleLabel,
    SingleLabelOptions,
};

/// A small generator (Knuth's MMIX constants), unlike the one under test.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

fn rows() -> Vec<(u32, u32)> {
    let mut random = Lcg(7);
    let mut row = || {
        let label = [0, 0, 0, 0, 0, 1, 1, 2][random.below(8)];
        let prediction = if random.below(10) < 7 { label } else { random.below(3) as u32 };
        (label, prediction)
    };
    (0..300).map(|_| row()).collect()
}

fn matrix(rows: impl IntoIterator<Item = (u32, u32)>) -> ConfusionMatrix {
    let mut confusion = ConfusionMatrix::new(3);
    rows.into_iter().for_each(|(label, prediction)| confusion.push(label, Some(prediction)).unwrap());
    confusion
}

fn macro_f1(confusion: &ConfusionMatrix) -> f64 {
    confusion.report().average(Average::Macro).f1
}

#[test]
fn drawing_cells_gives_the_interval_of_drawing_rows() {
    let rows = rows();
    let mut random = Lcg(99);
    let mut resampled: Vec<f64> =
        (0..4000).map(|_| macro_f1(&matrix((0..rows.len()).map(|_| rows[random.below(rows.len())])))).collect();
    resampled.sort_by(f64::total_cmp);
    let (low, high) = (resampled[100], resampled[3899]);

    let bootstrap = Bootstrap { draws: 4000, seed: 1 };
    let interval = |bootstrap: &Bootstrap| -> Interval {
        let [interval] =
            matrix(rows.iter().copied()).bootstrap(bootstrap, |report| [report.average(Average::Macro).f1]).unwrap();
        interval
    };
    let found = interval(&bootstrap);
    let width = high - low;
    assert!((found.low - low).abs() < 0.06 * width, "{} and {low}", found.low);
    assert!((found.high - high).abs() < 0.06 * width, "{} and {high}", found.high);
    assert_eq!(found, interval(&bootstrap), "the same seed gives the same interval");
    assert_ne!(found, interval(&Bootstrap { seed: 2, ..bootstrap }));
    assert!(found.low < macro_f1(&matrix(rows)) && found.high < 1.0);
}

#[test]
fn a_perfect_model_has_an_interval_of_no_width() {
    let confusion = matrix((0..50).map(|row| (row % 3, row % 3)));
    let [interval] =
        confusion.bootstrap(&Bootstrap::default(), |report| [report.average(Average::Macro).recall]).unwrap();
    assert_eq!(interval, Interval { low: 1.0, high: 1.0 });
    assert_eq!(ConfusionMatrix::new(3).bootstrap(&Bootstrap::default(), |_| [0.0]), None);
}

/// Two-sided p-value of the macro F1 difference over all 2^n swaps.
fn enumerated_p(rows: &[(u32, u32, u32)]) -> f64 {
    let difference = |mask: u32| {
        let side = |flip: bool| {
            macro_f1(&matrix(rows.iter().enumerate().map(|(row, &(label, first, second))| {
                let swapped = (mask >> row & 1 == 1) != flip;
                (label, if swapped { second } else { first })
            })))
        };
        side(true) - side(false)
    };
    let observed = difference(0).abs() - 1e-12;
    let swaps = 1_u32 << rows.len();
    f64::from((0..swaps).filter(|&mask| difference(mask).abs() >= observed).count() as u32) / f64::from(swaps)
}

#[test]
fn the_permutation_test_agrees_with_all_swaps() {
    let rows = [
        (0, 0, 0),
        (0, 1, 0),
        (0, 1, 0),
        (1, 1, 1),
        (1, 0, 1),
        (1, 2, 1),
        (2, 2, 2),
        (2, 2, 0),
        (2, 0, 2),
        (0, 1, 0),
        (1, 0, 1),
    ];
    let mut outcomes = PairedOutcomes::new(3);
    rows.iter().for_each(|&(label, first, second)| outcomes.push(label, Some(first), Some(second)).unwrap());
    let comparison = outcomes.compare(&Bootstrap { draws: 20_000, seed: 3 });
    let expected = enumerated_p(&rows);
    assert!((0.01..0.2).contains(&expected), "{expected}: a case that says something");
    assert!(
        (comparison.f1_macro.permutation_p - expected).abs() < 0.01,
        "{} and {expected}",
        comparison.f1_macro.permutation_p
    );
    let accuracies = (comparison.accuracy.first, comparison.accuracy.second);
    assert_eq!(accuracies, (4.0 / 11.0, 10.0 / 11.0));
    assert_eq!((comparison.mcnemar.only_first, comparison.mcnemar.only_second), (1, 7));
    let interval = comparison.f1_macro.interval.unwrap();
    assert!(interval.low < comparison.f1_macro.difference && comparison.f1_macro.difference < interval.high);
}

#[test]
fn equal_models_do_not_differ() {
    let mut outcomes = PairedOutcomes::new(3);
    rows()
        .into_iter()
        .for_each(|(label, prediction)| outcomes.push(label, Some(prediction), Some(prediction)).unwrap());
    let comparison = outcomes.compare(&Bootstrap::default());
    assert_eq!(comparison.f1_macro.interval, Some(Interval { low: 0.0, high: 0.0 }));
    assert_eq!((comparison.f1_macro.permutation_p, comparison.mcnemar.mid_p), (1.0, 1.0));
    let nothing = PairedOutcomes::new(3).compare(&Bootstrap::default());
    assert_eq!((nothing.rows, nothing.accuracy.interval), (0, None));
}

#[test]
fn a_sample_within_the_budget_stands_for_all_rows_and_is_told() {
    let labels = ["no".to_owned(), "yes".to_owned()];
    let all = SingleLabelOptions::default();
    let budget = SingleLabelOptions { score_budget: 8 * 2000, ..all.clone() };
    let mut whole = SingleLabel::new(&labels, all).unwrap();
    let mut sampled = SingleLabel::new(&labels, budget).unwrap();
    let mut random = Lcg(5);
    for row in 0..40_000_u32 {
        // Sorted by class, as IMDB is: keeping the first rows would see one class.
        let label = row / 20_000;
        let logits = [0.0, random.below(1000) as f32 / 500.0 - 1.0 + label as f32 * 0.5];
        whole.push_logits(label, &logits).unwrap();
        sampled.push_logits(label, &logits).unwrap();
    }
    let kept = |evaluation: &SingleLabel| (evaluation.scores().kept(), evaluation.scores().seen());
    assert_eq!((kept(&whole), kept(&sampled)), ((40_000, 40_000), (2000, 40_000)));
    let (whole, sampled) = (EvaluationReport::from(&whole), EvaluationReport::from(&sampled));
    let [exact, close] = [&whole, &sampled].map(|report| report.get("eval_auc").unwrap());
    // The standard error of the AUC of 2000 rows is 0.011 here.
    assert!((exact - close).abs() < 0.04, "{exact} and {close}");
    assert_eq!(whole.get("eval_nll"), sampled.get("eval_nll"));
    assert!(sampled.to_string().contains("uniform sample of 2,000 of 40,000 rows"), "{sampled}");
    assert!(whole.notes().is_empty());
    assert_eq!(ScoreRows::for_labels(3, 0, 0).kept(), 0);
}
