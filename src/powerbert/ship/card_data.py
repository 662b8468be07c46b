"""The front matter of a model card: the facts that the Hugging Face hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id

from powerbert.data import Task
from powerbert.data.glue import read_layout

HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "matthews_correlation": "matthews_correlation",
    "spearman": "spearmanr",
    "pearson": "pearsonr",
}
"""The hub's names of the metrics."""


def card_data(
    record: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> ModelCardData:
    """State a model's task, origin and results in the hub's terms; unknown facts are left out.

    Args:
        record: Of the run that made the model.
        manifest: Of the model's artifact.
        config: The content of the artifact's `config.json`.
    """
    dataset, metric = record["config"]["dataset"], record["metric"]
    task = Task.from_config(dataset)
    task_type = "multiple-choice" if task.is_multiple_choice else "text-classification"
    # First the metric that the model is judged by, then those that are reported with it.
    metrics = {metric["name"]: metric["value"]}
    metrics |= {name: value for name, value in metric.items() if name in HUB_METRICS}
    evaluated_on = _evaluated_on(dataset, metric.get("split"))
    results = [
        EvalResult(task_type=task_type, metric_type=HUB_METRICS[name], metric_value=value, **evaluated_on)
        for name, value in metrics.items()
        if value is not None
    ]
    tags = ["powerbert", record["method"].replace("_", "-")]
    tags += ["regression"] if task.is_regression else []
    tags += ["custom_code"] if "auto_map" in config else []
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=task_type,
        tags=tags,
        base_model=_hub_id(record["config"]["model"].get("path")),
        datasets=[dataset["source"]["hub"]] if "hub" in dataset["source"] else None,
        metrics=[HUB_METRICS[name] for name in metrics],
        model_name=manifest["id"],
        eval_results=results or None,
    )


def _evaluated_on(dataset: Mapping[str, Any], split: str | None) -> dict[str, Any]:
    """Name the evaluation data as the hub does, if it is a dataset of the hub."""
    source, name = dataset["source"], " ".join(dataset["name"].split())
    layout = read_layout(source["task"], source.get("layout")) if "task" in source else None
    return {
        "dataset_name": name,
        "dataset_type": source.get("hub", name),
        "dataset_config": None if layout is None else layout.hub,
        "dataset_split": split if layout is None or split is None else layout.hub_splits[split],
    }


def _hub_id(path: str | None) -> str | None:
    """Return a checkpoint's id on the hub; None for a folder, whose path means nothing elsewhere."""
    if path is None or Path(path).expanduser().is_dir():
        return None
    try:
        validate_repo_id(path)
    except HFValidationError:
        return None
    return path
