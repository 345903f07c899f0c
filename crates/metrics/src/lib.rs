//! Pure functions from predictions and labels to numbers.
//!
//! Every metric is a streaming accumulator: rows go in one at a time, memory stays bounded by what
//! the metric needs, and the numbers come out at the end.
//!
//! | accumulator | memory |
//! | --- | --- |
//! | [`ConfusionMatrix`], [`PairedOutcomes`] | one counter a non-empty cell |
//! | [`Reliability`] | 15 bins |
//! | [`ScoreRows`] (ROC-AUC, average precision) | two classes 8 bytes a row, `C` classes `4 + 4C`, `C` labels `C + 4C`; never above a budget (256 MiB by default), past which a seeded uniform sample of the rows is kept and the report says so |
//! | [`Regression`] | moments, and 8 bytes a row for Spearman under the same budget |
//!
//! Definitions are scikit-learn's with `zero_division=0`; where ours differs the function says why.
//! Undefined numbers (ROC-AUC with one class, the correlation of a constant) are `None`, `null` in JSON,
//! never a made-up 0 or 1. A prediction that holds NaN is no prediction: it is counted, it is wrong, and it
//! is never quietly class 0.
//!
//! ```
//! use serin_metrics::{EvaluationReport, SingleLabel, SingleLabelOptions};
//!
//! let labels = ["negative".to_owned(), "positive".to_owned()];
//! let mut evaluation = SingleLabel::new(&labels, SingleLabelOptions::default())?;
//! evaluation.push_logits(1, &[-1.0, 2.0])?;
//! evaluation.push_logits(0, &[0.5, 0.4])?;
//! let report = EvaluationReport::from(&evaluation);
//! assert_eq!(report.get("eval_accuracy"), Some(1.0));
//! println!("{report}");
//! # Ok::<(), serin_metrics::MetricsError>(())
//! ```

mod agreement;
mod averages;
mod compare;
mod confusion;
mod error;
mod interval;
mod multi_label;
mod ranking;
mod regression;
mod reliability;
mod report;
mod score;
mod score_rows;
mod single_label;
mod slices;
mod table;
mod tweeteval;

pub use averages::{Average, ClassReport, ClassScores, Counts};
pub use compare::{Comparison, Difference, McNemar, PairedOutcomes};
pub use confusion::{Cell, ConfusionMatrix, ConfusionPair};
pub use error::MetricsError;
pub use interval::{Bootstrap, Interval, wilson};
pub use multi_label::{MultiLabel, MultiLabelOptions, MultiLabelScores};
pub use ranking::{average_precision, label_ranking_average_precision, roc_auc, spearman};
pub use regression::{Regression, RegressionScores};
pub use reliability::{Reliability, ReliabilityBin};
pub use report::{EvaluationReport, NamedInterval};
pub use score::{Decision, ProblemType, decide, probabilities};
pub use score_rows::{DEFAULT_SCORE_BUDGET, OrderScores, ScoreRows};
pub use single_label::{SingleLabel, SingleLabelOptions};
pub use slices::{SliceKey, SliceScores, Slices, length_bucket, truncation};
pub use tweeteval::TweetEvalTask;
