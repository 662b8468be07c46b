"""How closely does the cost model predict the time of whole models under dynamic padding?

Compares predicted and measured speed-ups of models with random weights, whose times do not depend on them:
    GLUE_DIR=<folder> IMDB_DIR=<folder> python experiments/inference/cost.py cost.json snippets sst2 imdb
Run it with nothing beside it; IMDB, at 256 word pieces, takes four minutes.
"""

import json
import sys
import tempfile
from pathlib import Path

from hydra import compose, initialize_config_dir

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.environment import describe_environment
from powerbert.measure import LatencySettings, measure_latencies
from powerbert.measure.cost import cost_model
from powerbert.methods.distillation import evenly_spread
from powerbert.models import as_power_model, load_host_model, num_encoders
from powerbert.run.pipeline import Run
from powerbert.run.settings import resolve

SHARES = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.7, 0.5, 0.35, 0.2, 0.1, 0.0),
    (0.5, 0.3, 0.2, 0.1, 0.05, 0.0),
    (1.0, 1.0, 1.0, 0.0),
    (0.8, 0.6, 0.45, 0.0),
    (0.65, 0.4, 0.25, 0.0),
    (0.5, 0.3, 0.15, 0.0),
    (0.8, 0.5, 0.0),
    (0.5, 0.25, 0.0),
)
"""What the encoders retain; a model has as many of the six as there are entries."""


def compare(dataset: str) -> list[dict]:
    """Predict and measure each model's speed-up on a dataset's evaluation split."""
    overrides = [f"dataset={dataset}", "model=minilm_l6", "method=unchanged", "paths.output=/tmp"]
    overrides += ["dataset.max_length=256"] if dataset == "imdb" else []
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        settings = resolve(compose("train", overrides=overrides))
    data = Run(settings)._data_module(32)
    task = settings.task
    host = load_host_model(settings.checkpoint, task.kind, **task.model_fields()).eval()
    dense = as_power_model(host, cls_alone=True)
    quick = LatencySettings(runs=3, warmup=1, dynamic_batches=4 if dataset == "imdb" else 8)
    with tempfile.TemporaryDirectory() as folder:
        cost = cost_model(
            dense, host, data, kind="time", protocol="dynamic", settings=quick, folder=Path(folder)
        )
    encoders = num_encoders(host.config)
    models = [
        as_power_model(
            host,
            cls_alone=True,
            retention_shares=list(own),
            active_encoders=evenly_spread(encoders, len(own)),
        )
        for own in SHARES
    ]
    latencies = measure_latencies(
        models,
        host,
        data.dataset[task.evaluation_split],
        max_length=data.max_length,
        collate=data.collate,
        settings=quick,
        protocols=("dynamic",),
    )
    return [
        {
            "dataset": dataset,
            "shares": own,
            "predicted": 1 / cost.of_shares(own, cls_alone=True),
            "measured": latency["dynamic"]["speedup"],
            "disturbed": latency["dynamic"]["disturbed"],
        }
        for own, latency in zip(SHARES, latencies, strict=True)
    ]


if __name__ == "__main__":
    output, *datasets = sys.argv[1:]
    rows = [row for dataset in datasets for row in compare(dataset)]
    for row in rows:
        off = row["predicted"] / row["measured"] - 1
        print(f"{row['dataset']} {row['shares']}: {row['predicted']:.2f}x {row['measured']:.2f}x {off:+.1%}")
    Path(output).write_text(
        json.dumps({"environment": describe_environment(), "rows": rows}, indent=1) + "\n"
    )
