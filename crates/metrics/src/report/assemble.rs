//! From the accumulators to a report.

use crate::score_rows::mean_of_defined;
use crate::table::grouped;
use crate::{
    Average, ClassReport, ClassScores, EvaluationReport, Interval, MultiLabel, NamedInterval, OrderScores, ProblemType,
};
use crate::{Regression, ScoreRows, SingleLabel, wilson};

use super::Number;

impl From<&SingleLabel> for EvaluationReport {
    fn from(evaluation: &SingleLabel) -> Self {
        let confusion = evaluation.confusion();
        let classes = confusion.report();
        let mut report = Self::empty(ProblemType::SingleLabel, &evaluation.labels);
        report.count("eval_samples", confusion.rows());
        report.count("eval_correct", confusion.correct());
        report.count("eval_nan_predictions", confusion.undecided());
        report.score("eval_accuracy", confusion.accuracy());
        report.score("eval_balanced_accuracy", confusion.balanced_accuracy());
        if let (2, Some(positive)) = (evaluation.labels.len(), classes.counts().get(1)) {
            report.class_scores("", positive.scores());
        }
        report.averages(&classes);
        report.score("eval_matthews_correlation", Some(confusion.matthews_correlation()));
        report.score("eval_cohen_kappa", confusion.cohen_kappa());
        for (k, accuracy) in evaluation.top_k_accuracy() {
            report.score(&format!("eval_top_{k}_accuracy"), accuracy);
        }
        report.order(&evaluation.scores, true);
        report.score("eval_nll", evaluation.negative_log_likelihood());
        report.score("eval_brier_score", evaluation.brier_score());
        report.score("eval_ece", evaluation.reliability().expected_calibration_error());
        report.tweeteval = evaluation.options.tweeteval;
        if let Some(task) = report.tweeteval {
            report.score("eval_tweeteval", task.score(&classes, &evaluation.labels));
        }
        report.single_label_intervals(evaluation);
        report.note_undecided(confusion.undecided(), "They count as wrong and are in no probability metric.");
        report.note_absent(&classes);
        report.classes = Some(classes);
        report.confusion = Some(confusion.clone());
        report.reliability = Some(evaluation.reliability().clone());
        report
    }
}

impl From<&MultiLabel> for EvaluationReport {
    fn from(evaluation: &MultiLabel) -> Self {
        let (rows, classes) = (evaluation.row_scores(), evaluation.report());
        let mut report = Self::empty(ProblemType::MultiLabel, &evaluation.labels);
        report.count("eval_samples", rows.rows);
        report.count("eval_correct", rows.exact);
        report.count("eval_nan_predictions", rows.undecided);
        report.score("eval_accuracy", rows.subset_accuracy);
        report.score("eval_hamming_loss", rows.hamming_loss);
        report.averages(&classes);
        report.class_scores("_samples", rows.samples.unwrap_or_default());
        report.score("eval_lrap", rows.ranking_average_precision);
        report.order(&evaluation.scores, false);
        report.score("eval_bce", rows.binary_cross_entropy);
        report.interval("eval_accuracy", "wilson", wilson(rows.exact, rows.rows));
        report.notes.push("Accuracy is subset accuracy: every label of the row right.".to_owned());
        report.note_undecided(
            rows.undecided,
            "Every label of theirs counts as wrong; they are in no probability metric.",
        );
        report.note_absent(&classes);
        report.classes = Some(classes);
        report.samples = rows.samples;
        report
    }
}

impl From<&Regression> for EvaluationReport {
    fn from(evaluation: &Regression) -> Self {
        let scores = evaluation.scores();
        let mut report = Self::empty(ProblemType::Regression, &[]);
        report.count("eval_samples", scores.rows);
        report.count("eval_nan_predictions", scores.undecided);
        report.score("eval_mse", scores.mean_squared_error);
        report.score("eval_rmse", scores.root_mean_squared_error);
        report.score("eval_mae", scores.mean_absolute_error);
        report.score("eval_r2", scores.r2);
        report.score("eval_pearson", scores.pearson);
        report.score("eval_spearmanr", scores.spearman);
        report.note_undecided(scores.undecided, "They are in none of the errors, which are too kind by that.");
        report.note_sampled("Spearman's correlation", scores.spearman_rows, scores.rows - scores.undecided);
        report
    }
}

impl EvaluationReport {
    fn empty(problem_type: ProblemType, labels: &[String]) -> Self {
        Self {
            problem_type,
            labels: labels.to_vec(),
            numbers: Vec::new(),
            intervals: Vec::new(),
            classes: None,
            samples: None,
            order: Vec::new(),
            confusion: None,
            reliability: None,
            tweeteval: None,
            slices: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn count(&mut self, key: &str, count: u64) {
        self.numbers.push((key.to_owned(), Number::Count(count)));
    }

    fn score(&mut self, key: &str, score: Option<f64>) {
        self.numbers.push((key.to_owned(), Number::Score(score)));
    }

    fn class_scores(&mut self, suffix: &str, scores: ClassScores) {
        self.score(&format!("eval_precision{suffix}"), Some(scores.precision));
        self.score(&format!("eval_recall{suffix}"), Some(scores.recall));
        self.score(&format!("eval_f1{suffix}"), Some(scores.f1));
    }

    fn averages(&mut self, classes: &ClassReport) {
        self.class_scores("_macro", classes.average(Average::Macro));
        self.class_scores("_micro", classes.average(Average::Micro));
        self.class_scores("_weighted", classes.average(Average::Weighted));
    }

    fn order(&mut self, rows: &ScoreRows, single_label: bool) {
        let scores = rows.order_scores();
        if let ([binary], true) = (scores.as_slice(), single_label) {
            self.score("eval_auc", binary.roc_auc);
            self.score("eval_average_precision", binary.average_precision);
        } else {
            let unweighted = |value: fn(&OrderScores) -> Option<f64>| {
                mean_of_defined(scores.iter().map(|class| (value(class), 1.0)))
            };
            let weighted = mean_of_defined(scores.iter().map(|class| (class.roc_auc, class.support as f64)));
            self.score(
                if single_label { "eval_roc_auc_ovr" } else { "eval_roc_auc_macro" },
                unweighted(|class| class.roc_auc),
            );
            self.score(if single_label { "eval_roc_auc_ovr_weighted" } else { "eval_roc_auc_weighted" }, weighted);
            self.score("eval_average_precision_macro", unweighted(|class| class.average_precision));
            let undefined = scores.iter().filter(|class| class.roc_auc.is_none()).count();
            if undefined > 0 && undefined < scores.len() {
                self.notes
                    .push(format!("Labels left out of ROC-AUC because no row or every row has them: {undefined}."));
            }
            self.order = scores;
        }
        self.note_sampled("ROC-AUC and average precision", rows.kept(), rows.seen());
    }

    fn single_label_intervals(&mut self, evaluation: &SingleLabel) {
        let confusion = evaluation.confusion();
        self.interval("eval_accuracy", "wilson", wilson(confusion.correct(), confusion.rows()));
        let rows = confusion.rows() as f64;
        let statistics = |classes: &ClassReport| {
            let correct: u64 = classes.counts().iter().map(|counts| counts.true_positives).sum();
            let average = classes.average(Average::Macro);
            let tweeteval = self.tweeteval.and_then(|task| task.score(classes, &evaluation.labels));
            [correct as f64 / rows, average.f1, average.recall, tweeteval.unwrap_or(0.0)]
        };
        let Some(intervals) = confusion.bootstrap(&evaluation.options.bootstrap, statistics) else { return };
        let keys = ["eval_accuracy", "eval_f1_macro", "eval_recall_macro", "eval_tweeteval"];
        for (key, bounds) in keys.into_iter().zip(intervals) {
            if self.get(key).is_some() {
                self.interval(key, "bootstrap", Some(bounds));
            }
        }
    }

    fn interval(&mut self, metric: &str, method: &'static str, bounds: Option<Interval>) {
        self.intervals.extend(bounds.map(|bounds| NamedInterval { metric: metric.to_owned(), method, bounds }));
    }

    fn note_undecided(&mut self, rows: u64, consequence: &str) {
        if rows > 0 {
            self.notes.push(format!(
                "Rows with NaN or infinite scores, and so without a prediction: {}. {consequence}",
                grouped(rows)
            ));
        }
    }

    fn note_sampled(&mut self, what: &str, kept: u64, seen: u64) {
        if kept < seen {
            let (kept, seen) = (grouped(kept), grouped(seen));
            self.notes.push(format!("{what} come from a uniform sample of {kept} of {seen} rows, to bound memory."));
        }
    }

    fn note_absent(&mut self, classes: &ClassReport) {
        const NAMED: usize = 10;
        let absent: Vec<&str> =
            classes.absent().filter_map(|class| self.labels.get(class)).map(String::as_str).collect();
        if absent.is_empty() || self.numbers().any(|(key, value)| key == "eval_samples" && value == 0.0) {
            return;
        }
        let more = if absent.len() > NAMED { format!(" and {} more", absent.len() - NAMED) } else { String::new() };
        let names = absent[..absent.len().min(NAMED)].join(", ");
        let in_averages =
            if self.problem_type == ProblemType::MultiLabel { "count as 0 in" } else { "are left out of" };
        self.notes.push(format!(
            "Neither in the labels nor in the predictions: {names}{more}. They {in_averages} the macro averages."
        ));
    }
}
