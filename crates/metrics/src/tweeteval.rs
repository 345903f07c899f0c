//! The official TweetEval score of each task (Barbieri et al. 2020, `evaluaton_script.py` of cardiffnlp/tweeteval).

use serde::Serialize;

use crate::{Average, ClassReport};

/// A TweetEval task. Label ids are those of the task's `mapping.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TweetEvalTask {
    /// 20 emoji; macro F1.
    Emoji,
    /// anger, joy, optimism, sadness; macro F1.
    Emotion,
    /// not-hate, hate; macro F1.
    Hate,
    /// non_irony, irony; F1 of irony.
    Irony,
    /// not-offensive and offensive; macro F1.
    Offensive,
    /// negative, neutral, positive; macro recall.
    Sentiment,
    /// none, against, favor; mean F1 of against and favor. The official score concatenates the five targets.
    Stance,
}

/// Label names of each task in the order of its ids, except emoji, which is known by its mapping of 20.
const NAMED_TASKS: [(TweetEvalTask, &[&str]); 6] = [
    (TweetEvalTask::Emotion, &["anger", "joy", "optimism", "sadness"]),
    (TweetEvalTask::Hate, &["not-hate", "hate"]),
    (TweetEvalTask::Irony, &["non-irony", "irony"]),
    (TweetEvalTask::Offensive, &["not-offensive", "offensive"]),
    (TweetEvalTask::Sentiment, &["negative", "neutral", "positive"]),
    (TweetEvalTask::Stance, &["none", "against", "favor"]),
];

/// The emoji of ids 0 to 19, without variation selectors.
const EMOJI: [&str; 20] = [
    "❤", "😍", "😂", "💕", "🔥", "😊", "😎", "✨", "💙", "😘", "📷", "🇺🇸", "☀", "💜", "😉", "💯", "😁", "🎄", "📸",
    "😜",
];

impl TweetEvalTask {
    /// The task of a data set's name, in any case, alone or as the last part of a path or configuration
    /// (`sentiment`, `tweet_eval/sentiment`, `stance_climate`).
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().trim_end_matches('/').to_lowercase();
        let last = name.rsplit(['/', ':']).next()?;
        match last {
            "emoji" => Some(Self::Emoji),
            "emotion" => Some(Self::Emotion),
            "hate" => Some(Self::Hate),
            "irony" => Some(Self::Irony),
            "offensive" => Some(Self::Offensive),
            "sentiment" => Some(Self::Sentiment),
            "stance" => Some(Self::Stance),
            _ => last.strip_prefix("stance_").or_else(|| last.strip_prefix("stance-")).map(|_| Self::Stance),
        }
    }

    /// The task whose labels these are, in any order, case, and with `-`, `_` and space alike.
    ///
    /// negative, neutral, positive name many data sets, not only TweetEval's: show the score as what TweetEval would
    /// report, beside the others.
    pub fn from_labels(labels: &[String]) -> Option<Self> {
        let mut names: Vec<String> = labels.iter().map(|label| normalised(label)).collect();
        names.sort_unstable();
        let same = |expected: &[&str]| {
            let mut expected: Vec<String> = expected.iter().map(|label| normalised(label)).collect();
            expected.sort_unstable();
            expected == names
        };
        if same(&EMOJI) {
            return Some(Self::Emoji);
        }
        NAMED_TASKS.iter().find(|(_, expected)| same(expected)).map(|&(task, _)| task)
    }

    /// What the score is, in words.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Emoji | Self::Emotion | Self::Hate | Self::Offensive => "macro F1",
            Self::Irony => "F1 of irony",
            Self::Sentiment => "macro recall",
            Self::Stance => "mean F1 of against and favor",
        }
    }

    /// The task's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emoji => "emoji",
            Self::Emotion => "emotion",
            Self::Hate => "hate",
            Self::Irony => "irony",
            Self::Offensive => "offensive",
            Self::Sentiment => "sentiment",
            Self::Stance => "stance",
        }
    }

    /// The official score in [0, 1]. The classes of irony and stance are found by name; with other names
    /// (`LABEL_1`, `1`) by TweetEval's ids: irony 1, against 1, favor 2. `None` when such a class does not exist.
    ///
    /// A class that occurs in neither labels nor predictions scores 0 for irony and stance, where the official script
    /// stops with a missing key.
    pub fn score(self, report: &ClassReport, labels: &[String]) -> Option<f64> {
        let f1_of = |name: &str, official_id: usize| {
            let named = labels.iter().position(|label| normalised(label) == name);
            report.counts().get(named.unwrap_or(official_id)).map(|counts| counts.scores().f1)
        };
        match self {
            Self::Emoji | Self::Emotion | Self::Hate | Self::Offensive => Some(report.average(Average::Macro).f1),
            Self::Irony => f1_of("irony", 1),
            Self::Sentiment => Some(report.average(Average::Macro).recall),
            Self::Stance => Some((f1_of("against", 1)? + f1_of("favor", 2)?) / 2.0),
        }
    }
}

/// Lower case, one spelling of separators, no emoji variation selectors, American `favor`.
fn normalised(label: &str) -> String {
    let label = label.trim().to_lowercase().replace(['_', ' '], "-").replace('\u{fe0f}', "");
    if label == "favour" { "favor".to_owned() } else { label }
}
