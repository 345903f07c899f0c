"""Run reports written by the Python libraries, for the readers and writers of ours.

Run from the repository root: python golden/report_goldens.py events   (needs tensorboard)
                              python golden/report_goldens.py state    (needs transformers)
Writes crates/train/src/report/fixtures/.
"""

import sys
from pathlib import Path

FIXTURES = Path("crates/train/src/report/fixtures")


def events():
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    def scalars(step, wall_time, **values):
        pairs = [summary_pb2.Summary.Value(tag=tag.replace("__", "/"), simple_value=value) for tag, value in values.items()]
        return event_pb2.Event(step=step, wall_time=wall_time, summary=summary_pb2.Summary(value=pairs))

    with open(FIXTURES / "events.tfevents", "wb") as file:
        writer = RecordWriter(file)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        for event in [
            event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
            event_pb2.Event(wall_time=1700000000.25, step=300, session_log=start),
            scalars(0, 1700000001.5, train__loss=0.693),
            scalars(300, 1700000002.75, train__loss=0.125, train__learning_rate=2e-5),
            scalars(1 << 40, 1700000003.0, **{"eval/größe " + "x" * 200: float("nan")}),
        ]:
            writer.write(event.SerializeToString())


def state():
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import TrainerControl, TrainerState

    callback = EarlyStoppingCallback(early_stopping_patience=4)
    callback.early_stopping_patience_counter = 2
    trainer_state = TrainerState(
        epoch=2.0, global_step=782, max_steps=3910, train_batch_size=64, num_train_epochs=10, total_flos=1.5e15,
        best_metric=0.9444, best_global_step=391, best_model_checkpoint="out/checkpoint-391",
        stateful_callbacks=[callback, TrainerControl()],
    )
    trainer_state.log_history = [
        {"loss": 0.31, "grad_norm": float("nan"), "learning_rate": 2e-05, "epoch": 1.0, "step": 391},
        {"eval_loss": 0.2, "eval_accuracy": 0.9444, "eval_runtime": 61.5, "eval_samples_per_second": 406.5,
         "eval_steps_per_second": 6.4, "epoch": 1.0, "step": 391},
    ]
    trainer_state.save_to_json(str(FIXTURES / "trainer_state.json"))


FIXTURES.mkdir(parents=True, exist_ok=True)
{"events": events, "state": state}[sys.argv[1]]()
