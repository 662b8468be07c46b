"""Whole runs of a tiny random model on a made-up corpus, and what is read from them."""

from pathlib import Path

from powerbert.measure import timing
from powerbert.predict.predictor import Predictor
from powerbert.run.pipeline import run
from powerbert.run.settings import resolve
from tests.run.test_settings import composed

# The times of these runs matter to no test: measure them without waiting for a quiet machine.
timing.WINDOW, timing.LONGEST_WAIT = 0.01, 0.0


TINY = (
    "model=tiny",
    "dataset.max_length=32",
    "batch_size=8",
    "learning_rate=1e-2",
    "retention_learning_rate=0.02",
    "lambda=0.01",
    "trainer.max_epochs=3",
    "trainer.enable_progress_bar=false",
    "measure.runs=1",
    "measure.warmup=0",
    "measure.padded_batch_size=8",
    "measure.dynamic_batches=2",
)


def overrides(corpus: Path, runs: Path, *more: str) -> list[str]:
    return [
        "dataset=folder",
        f"dataset.source.path={corpus}",
        "dataset.text_columns=[text]",
        "dataset.label_names=[negative,positive]",
        f"paths.runs={runs}",
        *TINY,
        *more,
    ]


RERANKING = (
    "dataset.kind=reranking",
    "dataset.text_columns=[query,passage]",
    "dataset.label_names=null",
    "dataset.metric=ndcg@10",
)
"""Overrides for `write_queries`."""


LABELS = ("dataset.kind=multi_label_classification", "dataset.label_columns=[toxic,insult,threat]")
"""Overrides for the columns of `write_labels`."""


def train(corpus: Path, runs: Path, *more: str):
    cfg = composed(runs, *overrides(corpus, runs, *more))
    return run(resolve(cfg))


def comparable(record: dict) -> dict:
    """What must be equal between two runs of the same configuration: all but times and places."""
    return {
        key: value
        for key, value in record.items()
        if key not in ("latency", "environment", "config", "created", "seconds")
    }


def artifacts(runs: Path) -> dict[str, float]:
    """The finished artifacts and when they were written."""
    return {path.parent.name: path.stat().st_mtime for path in runs.glob("artifacts/*/manifest.json")}


def saved_metric(record: dict, runs: Path, corpus: Path) -> float:
    """The accuracy on dev of the model that the last stage saved, loaded as a user would."""
    predictor = Predictor(runs / "artifacts" / record["artifacts"]["retrain"])
    lines = [line.split("\t") for line in (corpus / "dev.tsv").read_text().splitlines()[1:]]
    predictions = predictor([(text,) for text, _ in lines])
    right = [
        p["label"] == ("negative", "positive")[int(label)]
        for p, (_, label) in zip(predictions, lines, strict=True)
    ]
    return sum(right) / len(right)
