"""Names for readers: of methods, knobs, metrics and selections, and the colour and marker of a method."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER

Record = Mapping[str, Any]

METHODS = (
    "power_bert",
    "combined",
    "elastic",
    "ltp",
    "distilbert",
    "bert_pkd",
    "head_prune",
    "dense",
    "unchanged",
)
"""The packaged methods in the order in which reports list them; all others follow."""

METRIC_NAMES = {
    "accuracy": "accuracy",
    "matthews_correlation": "Matthews corr.",
    "f1": "F1",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "spearman": "Spearman corr.",
    "pearson": "Pearson corr.",
    "ndcg@10": "nDCG@10",
    "mrr@10": "MRR@10",
}

CLS_ALONE = ", [CLS] alone"
"""Follows a method whose last encoder computes [CLS] alone."""

SELECTION_NAMES = {"head": "Head-WS", "rand": "Rand-WS", "attn": "Attn-WS"}
"""The selections as the paper writes them, in its order."""


@dataclass(frozen=True)
class Display:
    """How reports show a method: the node `display` of its `conf/method/<name>.yaml`.

    Attributes:
        label: Its name in tables and figures.
        sentence: What it does.
        knob: The key that a sweep sets on the command line; None for a method without a knob.
        marker: For matplotlib.
        colour: Hexadecimal, such as `#0072B2`.
    """

    label: str
    sentence: str = ""
    knob: str | None = None
    marker: str = "o"
    colour: str = "#999999"


def display(record: Record) -> Display:
    """Return how to show the method of a record.

    A record holds what its method's yaml said. For an older record the packaged yaml of that name counts; an
    unknown method is shown by its name, grey and round.
    """
    return _display(method_of(record).get("display"), packaged_display(record["method"]))


def packaged_display(name: str | None) -> Display:
    """Return how to show a method by its name alone."""
    return _packaged().get(name or "") or Display(name or "unknown")


def distinguishing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a record's configuration may tell its run from others.

    Left out are the method's `display`, and what is null, as packaged, or repeated one level below: an older
    record lacks settings that came later.
    """
    dataset, method = (config.get(node) for node in ("dataset", "method"))
    yamls = {path.stem: path for path in (CONFIG_FOLDER / "dataset").glob("*.yaml")}
    name = str(dataset.get("name")) if isinstance(dataset, Mapping) else ""
    packaged = _read(CONFIG_FOLDER / "train.yaml") | {
        "dataset": _read(yamls.get(name, yamls["folder"])),
        "method": {"display": method.get("display")} if isinstance(method, Mapping) else {},
    }
    return _chosen(config, packaged, {})


def _chosen(own: Mapping[str, Any], packaged: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    packaged = packaged if isinstance(packaged, Mapping) else {}
    chosen = {
        key: _chosen(value, packaged.get(key), own) if isinstance(value, Mapping) else value
        for key, value in own.items()
        if all(value != other.get(key) for other in (packaged, above))
    }
    return {key: value for key, value in chosen.items() if value not in (None, {})}


@cache
def _read(path: Path) -> dict[str, Any]:
    """Return a yaml with its interpolations."""
    return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]


def method_label(record: Record) -> str:
    """Name the method, after the methods whose result it started from; `chain` may be missing.

    Fine-tuning belongs to no method: all of them start from the same fine-tuned model.

    Returns:
        For example `PoWER-BERT`, `PoWER-BERT (Head-WS)` for another selection of word-vectors,
        `DistilBERT (encoders=3) + PoWER-BERT` for a run on a distilled model, or `PoWER-BERT, [CLS] alone`.
    """
    trainings = (t for t in record.get("chain") or [] if t.get("stage") != "finetune")
    methods = [key for key, _ in groupby((t.get("method"), t.get("knob")) for t in trainings)]
    if methods and methods[-1] == (record["method"], record["knob"]):
        methods.pop()
    labels = [(packaged_display(method).label, knob) for method, knob in methods]
    names = [f"{label} ({_settings(knob)})" if knob else label for label, knob in labels]
    alone = CLS_ALONE if record.get("cls_alone") else ""
    return " + ".join([*names, display(record).label + _variant(record)]) + alone


def knob_label(record: Record) -> str:
    """Name the record's point on its method's curve.

    Returns:
        For example `lambda=0.001`; the retention configuration if it was given instead of searched; `no
        knob` for a method without one.
    """
    configuration = elimination(record).get("retention_configuration")
    if configuration and not record["knob"]:
        return f"({', '.join(map(str, configuration))})"
    return _settings(record["knob"]) or "no knob"


@cache
def _packaged() -> dict[str, Display]:
    found = {}
    for path in (CONFIG_FOLDER / "method").glob("*.yaml"):
        node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        found[path.stem] = _display(node.get("display"), Display(path.stem))
    return found


def _display(node: Any, default: Display) -> Display:
    """Take the usable values of a node; records come from anywhere, so none may break a report."""
    given = node if isinstance(node, Mapping) else {}
    names = (field.name for field in fields(Display))
    values = {name: given[name] for name in names if isinstance(given.get(name), str)}
    if not re.fullmatch("#[0-9a-fA-F]{6}", values.get("colour", "")):
        values.pop("colour", None)
    return replace(default, **values)


def _settings(knob: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in knob.items()
    )


def _variant(record: Record) -> str:
    """Return in brackets the settings that make it another method than the paper's."""
    settings = elimination(record)
    name, selection = settings.get("name", "paper"), settings.get("selection", "attn")
    parts = [name] if name != "paper" else []
    if settings.get("unit") == "share" and name != "share":
        parts.append("shares")
    if selection != "attn":
        parts.append(SELECTION_NAMES.get(selection, selection))
    if settings.get("protect"):
        parts.append("first text protected")
    if method_of(record).get("start") == "first":
        parts.append("first encoders")
    return f" ({', '.join(parts)})" if parts else ""


def elimination(record: Record) -> Mapping[str, Any]:
    """Return the elimination settings of the record's method; empty for a method that eliminates nothing."""
    settings = method_of(record).get("elimination")
    return settings if isinstance(settings, Mapping) else {}


def method_of(record: Record) -> Mapping[str, Any]:
    """Return the method's settings in the record's configuration; empty for a record without them."""
    method = (record.get("config") or {}).get("method")
    return method if isinstance(method, Mapping) else {}
