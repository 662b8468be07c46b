"""The model card of a trained model: README.md, as the Hugging Face hub shows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id
from jinja2 import Environment, PackageLoader, StrictUndefined

from powerbert.base.files import output_file
from powerbert.base.markdown import code, text
from powerbert.data import Task
from powerbert.data.glue import read_layout
from powerbert.models import POWER_FIELDS
from powerbert.ship.modeling_code import read_config
from powerbert.store.facts import facts
from powerbert.store.naming import METRIC_NAMES, knob_label, method_label

MODEL_CARD = "README.md"

OPTIONAL = ("chain", "parameters", "retained", "retention_shares", "trials", "truncated")
"""Fields that older records lack."""

ELIMINATING = (
    "retention_configuration",
    "retention_shares",
    "retention_thresholds",
    "cls_alone",
    "active_encoders",
)
"""Fields of a config with which a model has no word-vectors, or not all, after the last encoder."""

HUB_METRICS = {
    "accuracy": "accuracy",
    "f1": "f1",
    "micro_f1": "f1",
    "macro_f1": "f1",
    "matthews_correlation": "matthews_correlation",
    "spearman": "spearmanr",
    "pearson": "pearsonr",
    "ndcg@10": "ndcg@10",
    "mrr@10": "mrr@10",
}
"""The hub's names of the metrics."""


def write_model_card(folder: Path | str, record: Mapping[str, Any], manifest: Mapping[str, Any]) -> Path:
    """Write a model's card beside its weights, given its run's record and its artifact's manifest.

    Raises:
        ModelError: If the folder has no readable `config.json`.
    """
    config = read_config(folder)
    path = Path(folder) / MODEL_CARD
    with output_file(path) as file:
        file.write(model_card(record, manifest, config))
    return path


def model_card(record: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Describe a model of any method in Markdown with the hub's front matter; `config` is its config.json.

    Names that a user chose are text in it, never markup.
    """
    environment = Environment(
        loader=PackageLoader("powerbert.ship", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": text, "code": code, "percent": percent, "times": times, "amount": amount}
    metric, facts_ = record["metric"]["name"], dict(facts(record))
    card = environment.get_template("model_card.md.jinja").render(
        front_matter=card_data(record, manifest, config).to_yaml(),
        record={**dict.fromkeys(OPTIONAL), **record},
        manifest=manifest,
        config={**dict.fromkeys(POWER_FIELDS), **config},
        task=Task.from_config(record["config"]["dataset"]),
        facts=facts_,
        method=method_label(record),
        knob=knob_label(record),
        metric=METRIC_NAMES.get(metric, metric.replace("_", " ")),
        split=record["metric"].get("split") or "evaluation",
        remote="auto_map" in config,
        retains=facts_.get("retention shares") or facts_.get("retention configuration"),
        eliminates=any(config.get(field) for field in ELIMINATING),
    )
    return str(ModelCard(card))


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
    return "n/a" if value is None else f"{100 * value:.2f} %"


def times(ratio: float | None) -> str:
    """Write a ratio: how many times faster or fewer."""
    return "n/a" if ratio is None else f"{ratio:.2f}x"


def amount(value: float | None, unit: str) -> str:
    """Write milliseconds (ms), or a count in millions (M) or billions (G)."""
    if value is None:
        return "n/a"
    divisor, form = {"ms": (1, ".1f"), "M": (1e6, ".1f"), "G": (1e9, ".3g")}[unit]
    return f"{value / divisor:{form}} {unit}"


def card_data(
    record: Mapping[str, Any], manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> ModelCardData:
    """State a model's task, origin and results in the hub's terms; unknown facts are left out."""
    dataset, metric = record["config"]["dataset"], record["metric"]
    task = Task.from_config(dataset)
    named = {"multiple_choice": "multiple-choice", "reranking": "text-ranking"}
    task_type = named.get(task.kind, "text-classification")
    # First the metric that the model is judged by, then those that are reported with it.
    metrics = {metric["name"]: metric["value"]}
    metrics |= {name: value for name, value in metric.items() if name in HUB_METRICS}
    evaluated_on = _evaluated_on(dataset, metric.get("split"))
    results = [
        EvalResult(
            task_type=task_type,
            metric_type=HUB_METRICS[name],
            metric_name=METRIC_NAMES[name] if name.endswith("_f1") else None,
            metric_value=value,
            **evaluated_on,
        )
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
        metrics=list(dict.fromkeys(HUB_METRICS[name] for name in metrics)),
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
