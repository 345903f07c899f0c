"""TF-IDF of 1- and 2-grams with logistic regression (scikit-learn): what a pretrained encoder has to beat.

Usage: python benches/peers/tfidf.py --train-tsv train.tsv --val-tsv val.tsv
       python benches/peers/tfidf.py --train-text … --train-labels … --val-text … --val-labels …

Prints one JSON line: accuracy and macro recall on the validation set.
"""

import argparse
import json
import time

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline

from datasets_on_disk import add_data_flags, read_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_data_flags(parser)
    parser.add_argument("--c", type=float, default=10.0, help="inverse strength of the L2 penalty")
    arguments = parser.parse_args()
    (train_texts, train_labels), (texts, labels) = read_split(arguments, "train"), read_split(arguments, "val")
    started = time.perf_counter()
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1 if len(train_texts) < 10_000 else 2)
    model = make_pipeline(vectors, LogisticRegression(C=arguments.c, max_iter=1000))
    model.fit(train_texts, train_labels)
    predicted = model.predict(texts)
    print(
        json.dumps(
            {
                "train": len(train_texts),
                "validation": len(texts),
                "accuracy": round(float(accuracy_score(labels, predicted)), 4),
                "recall_macro": round(float(recall_score(labels, predicted, average="macro")), 4),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
