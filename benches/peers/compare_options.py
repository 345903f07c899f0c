"""The options of `benches/compare.sh`. Usage: python3 benches/peers/compare_options.py --help"""

import argparse
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PARTS = ["check", "inference", "fp32", "step", "pretrain", "cold", "products", "sweep"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the same work in Serin and its peers.", prog="compare.sh")
    parser.add_argument("--serin", type=Path, help="the binary")
    parser.add_argument("--imdb", type=Path, help="IMDB's training texts as Parquet [default: ../shared/data/imdb; "
                        "else texts as long, of the sentences in the source]")
    parser.add_argument("--tokenizer", type=Path, help="folder of RoBERTa's vocab.json and merges.txt "
                        "[default: ../shared/tokenizers/roberta-base; else one learned from the texts]")
    parser.add_argument("--rounds", type=int, default=3, help="of inference, and of cold processes")
    parser.add_argument("--step-rounds", type=int, default=2, help="of training and pretraining steps, which take minutes")
    parser.add_argument("--steps", type=int, default=2, help="timed steps of PyTorch a round, after one that is not; "
                        "Serin makes twice as many")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure [default: all]")
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round: tries the scripts, measures nothing")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "benches/work", help="folder of model and texts")
    parser.add_argument("--results", type=Path, help="[default: benches/results; with --quick, in the folder of --work]")
    arguments = parser.parse_args()
    arguments.results = arguments.results or (arguments.work if arguments.quick else REPOSITORY / "benches") / "results"
    return arguments


if __name__ == "__main__":
    parse_arguments()
