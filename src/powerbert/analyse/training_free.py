"""What elimination without re-training costs in accuracy, and what it gains in time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from powerbert.base.checks import check_number
from powerbert.base.errors import ConfigError, ModelError
from powerbert.base.figures import BLUE, ORANGE, new_figure, save
from powerbert.data import row_lengths
from powerbert.measure import LatencySettings, measure_latencies
from powerbert.measure.evaluation import predict_logits, task_metric, thresholds_of
from powerbert.measure.flops import flops_of_lengths
from powerbert.measure.training_free import eliminate
from powerbert.predict.subject import Subject


def run(subject: Subject, speeds: Sequence[float] | float, runs: int, output: Path) -> pd.DataFrame:
    """Evaluate and time a model at several speeds, and write `training_free.csv`, `.png` and `.svg`.

    Args:
        speeds: as of `eliminate`, for inputs of the mean length.
        runs: timed passes over batches of similar length.

    Returns:
        One row for the model itself and one per speed: `asked`, NaN for the model itself; `operations`, how
        many times fewer it takes, on average over the inputs; `time`, how many times faster it runs them in
        batches of similar length; the task's metric; and the retention `shares`.

    Raises:
        ConfigError: If `speeds` has no number, or one that cannot be reached.
        DataError: If the inputs have no labels.
        ModelError: If the model eliminates already.
    """
    if isinstance(speeds, int | float):
        speeds = [speeds]
    if not speeds:
        raise ConfigError("analysis.speeds: give at least one")
    for speed in speeds:
        check_number("analysis.speeds", speed, 1.0)
    model: Any = subject.model
    if getattr(model.config, "eliminates", False):
        raise ModelError(f"artifact: {subject.folder} eliminates already; give the fine-tuned model")
    subject.check_labelled()
    lengths = row_lengths(subject.encoded)
    mean = max(2, round(float(lengths.mean())))
    faster: list[Any] = [eliminate(model, speed=speed, length=mean) for speed in speeds]
    latencies = measure_latencies(
        faster,
        model,
        subject.encoded,
        max_length=subject.max_length,
        collate=subject.collate,
        settings=LatencySettings(runs=runs, dynamic_batch_size=subject.batch_size),
        protocols=("dynamic",),
    )

    def metric(of: Any) -> float:
        logits = predict_logits(of, subject.encoded, subject.collate, subject.batch_size)
        return task_metric(logits, subject.encoded, subject.task, thresholds_of(of))

    def operations(of: Any) -> float:
        return flops_of_lengths(of, lengths, subject.task.num_choices, most=8)

    own = {"asked": None, "operations": 1.0, "time": 1.0, subject.task.metric: metric(model), "shares": None}
    whole = operations(model)
    rows = [
        {
            "asked": speed,
            "operations": whole / operations(one),
            "time": latency["dynamic"]["speedup"],
            subject.task.metric: metric(one),
            "shares": " ".join(f"{share:g}" for share in one.config.retention_shares),
        }
        for speed, one, latency in zip(speeds, faster, latencies, strict=True)
    ]
    table = pd.DataFrame([own, *rows])
    save(_draw(table, subject), table, output, "training_free")
    return table


def _draw(table: pd.DataFrame, subject: Subject) -> Figure:
    metric = table[subject.task.metric]
    with new_figure(5, 3.2) as figure:
        axes = figure.add_subplot(title=subject.title, ylabel=subject.task.metric)
        axes.set_xlabel("times as fast, in batches of similar length")
        axes.axhline(metric[0], color=ORANGE, linestyle="--", linewidth=1, label="the model as it is")
        axes.plot(table["time"], metric, color=BLUE, marker="o", label="eliminating, not re-trained")
        axes.legend()
    return figure
