"""The model card of a trained model: README.md, as the Hugging Face hub shows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard
from jinja2 import Environment, PackageLoader, StrictUndefined

from powerbert.base.errors import ModelError
from powerbert.base.markdown import code, text
from powerbert.base.output import whole_file
from powerbert.data import Task
from powerbert.models import POWER_FIELDS
from powerbert.ship.card_data import card_data
from powerbert.store.facts import facts
from powerbert.store.naming import METRIC_NAMES, knob_label, method_label

MODEL_CARD = "README.md"

OPTIONAL = ("chain", "parameters", "trials", "truncated")
"""Fields that older records lack."""


def write_model_card(folder: Path | str, record: Mapping[str, Any], manifest: Mapping[str, Any]) -> Path:
    """Write a model's card beside its weights, given its run's record and its artifact's manifest.

    Raises:
        ModelError: If the folder has no readable `config.json`.
    """
    config_file = Path(folder) / "config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{config_file}: cannot be read ({error}); save the model there first") from error
    path = Path(folder) / MODEL_CARD
    with whole_file(path) as file:
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
    metric = record["metric"]["name"]
    card = environment.get_template("model_card.md.jinja").render(
        front_matter=card_data(record, manifest, config).to_yaml(),
        record={**dict.fromkeys(OPTIONAL), **record},
        manifest=manifest,
        config={**dict.fromkeys(POWER_FIELDS), **config},
        task=Task.from_config(record["config"]["dataset"]),
        facts=dict(facts(record)),
        method=method_label(record),
        knob=knob_label(record),
        metric=METRIC_NAMES.get(metric, metric.replace("_", " ")),
        split=record["metric"].get("split") or "evaluation",
        remote="auto_map" in config,
        eliminates=config.get("retention_configuration") is not None,
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
