"""What a point of a comparison is called: its method, with all that came before it, and its knob."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from powerbert.report.selection_table import NAMES as SELECTIONS
from powerbert.report.table import METHOD_NAMES

Record = Mapping[str, Any]


def method_label(record: Record) -> str:
    """The method as the paper writes it, after the methods whose result it started from.

    Fine-tuning belongs to no method: all of them start from the same fine-tuned model.

    Args:
        record: a valid record, with or without a `chain`.

    Returns:
        For example `PoWER-BERT`, `PoWER-BERT (Head-WS)` for another selection of word-vectors, or
        `DistilBERT (encoders=3) + PoWER-BERT` for a run on a distilled model.
    """
    own = record["method"], dict(record["knob"])
    trained = (entry for entry in record.get("chain") or [] if entry.get("stage") != "finetune")
    links = [link for link, _ in groupby((entry.get("method"), entry.get("knob")) for entry in trained)]
    earlier = links[:-1] if links and links[-1] == own else links
    names = [f"{_name(method)} ({_settings(knob)})" if knob else _name(method) for method, knob in earlier]
    return " + ".join([*names, _name(record["method"]) + _variant(record)])


def knob_label(record: Record) -> str:
    """Where on its method's curve a point lies.

    Args:
        record: a valid record.

    Returns:
        For example `lambda=0.001`; the retention configuration, if that was given instead of searched
        for; `no knob` for a method without any.
    """
    configuration = elimination(record).get("retention_configuration")
    if configuration and not record["knob"]:
        return f"({', '.join(map(str, configuration))})"
    return _settings(record["knob"]) or "no knob"


def elimination(record: Record) -> Mapping[str, Any]:
    """How the record's method eliminates word-vectors; empty for one that does not."""
    method = record["config"].get("method")
    settings = method.get("elimination") if isinstance(method, Mapping) else None
    return settings if isinstance(settings, Mapping) else {}


def _name(method: str | None) -> str:
    return METHOD_NAMES.get(method or "", method or "unknown")


def _settings(knob: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in knob.items()
    )


def _variant(record: Record) -> str:
    """In brackets, what makes it another method than the paper's."""
    settings = elimination(record)
    name, selection = settings.get("name", "paper"), settings.get("selection", "attn")
    parts = [name] if name != "paper" else []
    if selection != "attn":
        parts.append(SELECTIONS.get(selection, selection))
    return f" ({', '.join(parts)})" if parts else ""
