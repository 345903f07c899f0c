//! Metrics of order: ROC-AUC, average precision, label ranking, rank correlation. Ties share.

use std::cmp::Ordering;

/// Area under the ROC curve in [0, 1]: the chance that a positive row scores above a negative one, ties counting
/// half (Mann-Whitney U). Reorders `rows` of (positive, score). `None` when one of the two kinds is missing, where
/// scikit-learn warns and gives NaN. Scores must not be NaN.
pub fn roc_auc(rows: &mut [(bool, f32)]) -> Option<f64> {
    rows.sort_unstable_by(|left, right| left.1.total_cmp(&right.1));
    let (mut negatives_below, mut positives, mut ordered_twice) = (0_u64, 0_u64, 0_u128);
    for ties in rows.chunk_by(|left, right| left.1 == right.1) {
        let tied_positives = ties.iter().filter(|row| row.0).count() as u64;
        let tied_negatives = ties.len() as u64 - tied_positives;
        let below_twice = u128::from(2 * negatives_below + tied_negatives);
        ordered_twice += u128::from(tied_positives) * below_twice;
        negatives_below += tied_negatives;
        positives += tied_positives;
    }
    let pairs = u128::from(positives) * u128::from(negatives_below);
    (pairs > 0).then(|| ordered_twice as f64 / (2.0 * pairs as f64))
}

/// Average precision, `sum over thresholds of (recall step) * precision`, without interpolation; equal scores are
/// one threshold. Reorders `rows` of (positive, score). `None` without a positive row, where scikit-learn warns
/// and gives 0: there is nothing to be found, so there is no score. Scores must not be NaN.
pub fn average_precision(rows: &mut [(bool, f32)]) -> Option<f64> {
    rows.sort_unstable_by(|left, right| left.1.total_cmp(&right.1));
    let (mut taken, mut positives, mut area) = (0_u64, 0_u64, 0.0);
    for ties in rows.chunk_by(|left, right| left.1 == right.1).rev() {
        let tied_positives = ties.iter().filter(|row| row.0).count() as u64;
        taken += ties.len() as u64;
        positives += tied_positives;
        area += tied_positives as f64 * (positives as f64 / taken as f64);
    }
    (positives > 0).then(|| area / positives as f64)
}

/// Label ranking average precision of one row, in (0, 1]: for each true label, the share of true labels among those
/// scored at least as high, averaged. 1 when none or all labels are true. `labels` and `scores` have shape
/// `[labels]`; the metric of a data set is the mean over its rows (Tsoumakas et al. 2010; scikit-learn's
/// `label_ranking_average_precision_score`).
pub fn label_ranking_average_precision(labels: &[bool], scores: &[f32]) -> f64 {
    let relevant: Vec<f32> = labels.iter().zip(scores).filter(|(label, _)| **label).map(|(_, score)| *score).collect();
    if relevant.is_empty() || relevant.len() == scores.len() {
        return 1.0;
    }
    let at_least = |among: &[f32], score: f32| among.iter().filter(|&&other| other >= score).count() as f64;
    let precisions = relevant.iter().map(|&score| at_least(&relevant, score) / at_least(scores, score));
    precisions.sum::<f64>() / relevant.len() as f64
}

/// Spearman's rank correlation in [-1, 1]: Pearson's correlation of the ranks, tied values sharing their mean rank.
/// `None` when either side is constant or there are fewer than two rows (scipy gives NaN).
pub fn spearman(left: &[f32], right: &[f32]) -> Option<f64> {
    let (left, right) = (mean_ranks(left), mean_ranks(right));
    let count = left.len() as f64;
    let middle = (count + 1.0) / 2.0;
    let product = |left: &[f64], right: &[f64]| -> f64 {
        left.iter().zip(right).map(|(left, right)| (left - middle) * (right - middle)).sum()
    };
    let spread = (product(&left, &left) * product(&right, &right)).sqrt();
    (spread > 0.0).then(|| (product(&left, &right) / spread).clamp(-1.0, 1.0))
}

/// Ranks from 1 in the order of the input, ties sharing their mean.
fn mean_ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let compare = |left: usize, right: usize| values[left].partial_cmp(&values[right]).unwrap_or(Ordering::Equal);
    order.sort_unstable_by(|&left, &right| compare(left, right));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for ties in order.chunk_by(|&left, &right| values[left] == values[right]) {
        let shared = first as f64 + (ties.len() as f64 + 1.0) / 2.0;
        ties.iter().for_each(|&index| ranks[index] = shared);
        first += ties.len();
    }
    ranks
}

/// How many classes rank above `class`: the higher scores, and the equal ones of lower id.
pub(crate) fn rank_of(class: usize, scores: &[f32]) -> usize {
    let score = scores[class];
    scores.iter().enumerate().filter(|&(other, &value)| value > score || (value == score && other < class)).count()
}
