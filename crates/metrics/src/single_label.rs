//! Evaluation of single-label classification, row by row.

use crate::score::{argmax, log_softmax, probabilities};
use crate::{Bootstrap, ConfusionMatrix, DEFAULT_SCORE_BUDGET, MetricsError, ProblemType, Reliability, ScoreRows};
use crate::{TweetEvalTask, ranking};

/// What to compute beyond the usual.
#[derive(Debug, Clone)]
pub struct SingleLabelOptions {
    /// The `k` of top-k accuracies; those not below the number of classes are left out.
    pub top_k: Vec<usize>,
    /// Bytes for the scores that ROC-AUC and average precision need.
    pub score_budget: usize,
    /// Settings of the intervals, and the seed for sampling scores past the budget.
    pub bootstrap: Bootstrap,
    /// Report this task's official score.
    pub tweeteval: Option<TweetEvalTask>,
}

impl Default for SingleLabelOptions {
    fn default() -> Self {
        Self { top_k: vec![3, 5], score_budget: DEFAULT_SCORE_BUDGET, bootstrap: Bootstrap::default(), tweeteval: None }
    }
}

/// Accumulates rows of one label each.
#[derive(Debug, Clone)]
pub struct SingleLabel {
    pub(crate) labels: Vec<String>,
    pub(crate) options: SingleLabelOptions,
    pub(crate) confusion: ConfusionMatrix,
    pub(crate) reliability: Reliability,
    pub(crate) scores: ScoreRows,
    top_k_hits: Vec<u64>,
    nll_sum: f64,
    brier_sum: f64,
}

impl SingleLabel {
    /// `labels` are the class names in the order of their ids.
    ///
    /// # Errors
    /// [`MetricsError::TooFewLabels`] with fewer than two.
    pub fn new(labels: &[String], mut options: SingleLabelOptions) -> Result<Self, MetricsError> {
        if labels.len() < 2 {
            return Err(MetricsError::TooFewLabels { count: labels.len(), least: 2 });
        }
        options.top_k.retain(|&k| k > 1 && k < labels.len());
        Ok(Self {
            labels: labels.to_vec(),
            confusion: ConfusionMatrix::new(labels.len()),
            reliability: Reliability::default(),
            scores: ScoreRows::for_classes(labels.len(), options.score_budget, options.bootstrap.seed),
            top_k_hits: vec![0; options.top_k.len()],
            options,
            nll_sum: 0.0,
            brier_sum: 0.0,
        })
    }

    /// Adds a row from its logits, shape `[classes]`. The negative log likelihood is taken from the logits, so it
    /// stays finite where the probability rounds to 0.
    ///
    /// # Errors
    /// [`MetricsError::WrongLength`] or [`MetricsError::LabelOutOfRange`]; the row is then not counted.
    pub fn push_logits(&mut self, label: u32, logits: &[f32]) -> Result<Option<u32>, MetricsError> {
        self.check(logits.len())?;
        let nll = log_softmax(logits).get(label as usize).map(|log| -log);
        self.record(label, &probabilities(ProblemType::SingleLabel, logits), nll)
    }

    /// Adds a row from its class probabilities, shape `[classes]`. A probability below `f32::EPSILON` counts as that in
    /// the negative log likelihood, as in scikit-learn's `log_loss` of float32.
    ///
    /// # Errors
    /// [`MetricsError::WrongLength`] or [`MetricsError::LabelOutOfRange`]; the row is then not counted.
    pub fn push_probabilities(&mut self, label: u32, probabilities: &[f32]) -> Result<Option<u32>, MetricsError> {
        self.check(probabilities.len())?;
        let probability = probabilities.get(label as usize);
        let nll = probability.map(|&probability| -f64::from(probability.max(f32::EPSILON)).ln());
        self.record(label, probabilities, nll)
    }

    fn check(&self, found: usize) -> Result<(), MetricsError> {
        let (row, expected) = (self.confusion.rows(), self.labels.len());
        let wrong = MetricsError::WrongLength { row, what: "scores", found, expected };
        if found == expected { Ok(()) } else { Err(wrong) }
    }

    /// Counts the row and gives its prediction; a NaN row enters the confusion matrix alone.
    fn record(&mut self, label: u32, probabilities: &[f32], nll: Option<f64>) -> Result<Option<u32>, MetricsError> {
        let prediction = argmax(probabilities);
        self.confusion.push(label, prediction.map(|class| class as u32))?;
        let Some(class) = prediction else { return Ok(None) };
        let truth = label as usize;
        self.nll_sum += nll.unwrap_or(0.0);
        self.brier_sum += self.brier(truth, probabilities);
        self.reliability.push(f64::from(probabilities[class]), class == truth);
        let rank = ranking::rank_of(truth, probabilities);
        for (hits, &k) in self.top_k_hits.iter_mut().zip(&self.options.top_k) {
            *hits += u64::from(rank < k);
        }
        self.scores.push_class(label, probabilities);
        Ok(Some(class as u32))
    }

    /// Two classes: `(p_1 - y)^2`; more: the sum over the classes (Brier 1950). scikit-learn's `scale_by_half="auto"`.
    fn brier(&self, truth: usize, probabilities: &[f32]) -> f64 {
        let residual =
            |(class, &score): (usize, &f32)| (f64::from(score) - f64::from(u8::from(class == truth))).powi(2);
        let skipped = usize::from(self.labels.len() == 2);
        probabilities.iter().enumerate().skip(skipped).map(residual).sum()
    }

    /// The confusion matrix so far; its [`ConfusionMatrix::correct`] is the integer to select checkpoints by.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// Confidence against accuracy so far.
    pub fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// The scores kept for ROC-AUC and average precision of each class.
    pub fn scores(&self) -> &ScoreRows {
        &self.scores
    }

    /// Mean negative log likelihood in nats over the rows without NaN.
    pub fn negative_log_likelihood(&self) -> Option<f64> {
        self.mean(self.nll_sum)
    }

    /// Brier score over the rows without NaN: in [0, 1] for two classes, [0, 2] for more.
    pub fn brier_score(&self) -> Option<f64> {
        self.mean(self.brier_sum)
    }

    /// `k` and the share of all rows whose label is among the `k` highest scores. Of equal scores the lower class id
    /// ranks higher, as in `torch.topk` and our predictions (scikit-learn prefers the higher id).
    pub fn top_k_accuracy(&self) -> impl Iterator<Item = (usize, Option<f64>)> + '_ {
        let rows = self.confusion.rows();
        let accuracy = move |hits: u64| (rows > 0).then(|| hits as f64 / rows as f64);
        self.options.top_k.iter().copied().zip(&self.top_k_hits).map(move |(k, &hits)| (k, accuracy(hits)))
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        let rows = self.confusion.rows() - self.confusion.undecided();
        (rows > 0).then(|| sum / rows as f64)
    }
}
