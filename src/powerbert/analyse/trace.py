"""Figure 4 on real inputs: the word pieces that survive each encoder."""

import logging
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from powerbert.base.checks import check_whole
from powerbert.base.errors import ConfigError
from powerbert.base.figures import BLUE, GREY, new_figure, save
from powerbert.models import retention_of
from powerbert.predict.predictor import Predictor, Texts
from powerbert.predict.subject import Subject
from powerbert.store.facts import retention_facts

PIECES_PER_COLUMN = 64

log = logging.getLogger(__name__)


class Piece(NamedTuple):
    """A word piece, whether it follows the previous one without a space, and the last encoder to retain it.

    Encoders count from 1; `survives` is 0 if the first one eliminates the piece.
    """

    text: str
    joined: bool
    survives: int


class Trace(NamedTuple):
    """One sequence: the name of its input and choice, the input's prediction, and its pieces in order."""

    heading: str
    verdict: str
    pieces: tuple[Piece, ...]

    def retained(self, encoder: int) -> int:
        """Return the number of word-vectors that leave an encoder, from 1; 0 means the embeddings."""
        return sum(piece.survives >= encoder for piece in self.pieces)


def run(
    subject: Subject, output: Path, text: str | None = None, text_pair: str | None = None, inputs: int = 3
) -> pd.DataFrame:
    """Print the surviving words and write `trace.html`, `trace.csv`, `.png` and `.svg` to `output`.

    Args:
        subject: A model with a retention configuration, and its inputs.
        text: A text to trace instead of the dataset's inputs.
        text_pair: Its second text.
        inputs: The number of the dataset's inputs to trace.

    Returns:
        One row per word piece: `sequence` and `position`, both from 1, `piece` and `survives`.

    Raises:
        ConfigError: If the model has no retention configuration, or `inputs` is no positive whole number.
    """
    check_whole("analysis.inputs", inputs)
    given = dict(retention_facts(retention_of(subject.model.config)))
    if not given:
        raise ConfigError(
            f"artifact: {subject.folder} has no retention configuration, so it eliminates nothing; "
            "give a re-trained model"
        )
    if text is None:
        rows, labels = _sample_inputs(subject, inputs)
    else:
        rows, labels = [(text,) if text_pair is None else (text, text_pair)], [None]
    traces = trace_inputs(subject.predictor, rows, labels)
    ((name, values),) = given.items()
    encoders = len(values)
    print_traces(traces, encoders, f"{name} ({', '.join(values)})")
    table = pd.DataFrame(
        {"sequence": number, "position": position, "piece": piece.text, "survives": piece.survives}
        for number, trace in enumerate(traces, start=1)
        for position, piece in enumerate(trace.pieces, start=1)
    )
    save(_draw(traces, encoders), table, output, "trace")
    write_page(output / "trace.html", f"{subject.name}, {name} {', '.join(values)}", encoders, traces)
    log.info("wrote %s", output / "trace.html")
    return table


def trace_inputs(predictor: Predictor, rows: Sequence[Texts], labels: Sequence[str | None]) -> list[Trace]:
    """Follow inputs through the encoders: one trace per input, or per choice for multiple choice.

    `labels` are the dataset's labels for people; None without one.
    """
    traces, task = [], predictor.task
    for number, (row, label, prediction) in enumerate(zip(rows, labels, predictor(rows), strict=True), 1):
        heading = "" if len(rows) == 1 else f"input {number}"
        sequences = {heading: row}
        if task.is_multiple_choice:
            choices = zip(task.label_names or (), row[1], strict=True)
            sequences = {f"{heading} choice {name}".strip(): (row[0], choice) for name, choice in choices}
        for name, texts in sequences.items():
            traces.append(Trace(name, verdict(prediction, label), trace_pieces(predictor, texts)))
    return traces


@torch.inference_mode()
def trace_pieces(predictor: Predictor, texts: Sequence[str]) -> tuple[Piece, ...]:
    """Return the word pieces of one sequence, made of one or two texts."""
    tokenizer, model = predictor.tokenizer, predictor.model
    encoded = tokenizer(
        *texts,
        truncation="longest_first",
        max_length=predictor.max_length,
        return_offsets_mapping=True,
        return_tensors="pt",
    )
    spans = encoded.pop("offset_mapping")[0].tolist()
    survives = torch.zeros(len(spans), dtype=torch.long, device=model.device)
    for positions, mask in model.retained_word_vectors(**encoded.to(model.device)):
        survives[positions[mask]] += 1
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0].tolist())
    pieces = []
    before: tuple[int | None, int] = (None, 0)
    for token, part, (start, end), count in zip(
        tokens, encoded.sequence_ids(0), spans, survives.tolist(), strict=True
    ):
        text = "" if part is None else texts[part][start:end]
        joined = part is not None and before == (part, start) and not text[:1].isspace()
        pieces.append(Piece(text.strip() or token, joined, count))
        before = part, end
    return tuple(pieces)


def verdict(prediction: dict[str, Any], label: str | None) -> str:
    """Return a prediction of `Predictor` for people, with the dataset's label if there is one."""
    if "labels" in prediction:
        predicted = ", ".join(f"{name} ({prediction['scores'][name]:.2f})" for name in prediction["labels"])
        predicted = predicted or "none"
    else:
        number = prediction["value"] if "value" in prediction else prediction["score"]
        predicted = f"{prediction['label']} ({number:.2f})" if "label" in prediction else f"{number:.2f}"
    return predicted if label is None else f"{predicted}, labelled {label}"


def print_traces(
    traces: Sequence[Trace], encoders: int, retention: str, console: Console | None = None
) -> None:
    """Print one line of words per encoder, on standard output unless a console is given.

    Eliminated words are dimmed on a terminal; elsewhere each of their letters becomes a dot.
    """
    console = console or Console()
    console.print(Text(retention))
    for trace in traces:
        table = Table(box=None, header_style="", pad_edge=False)
        table.add_column("encoder", justify="right", no_wrap=True)
        table.add_column("retains", justify="right", no_wrap=True)
        table.add_column()
        for encoder in range(encoders + 1):
            words = words_at(trace, encoder, dots=not console.is_terminal)
            table.add_row(str(encoder) if encoder else "", str(trace.retained(encoder)), words)
        console.print()
        console.print(Text(": ".join(filter(None, (trace.heading, trace.verdict))), "bold"))
        console.print(table)


def words_at(trace: Trace, encoder: int, *, dots: bool) -> Text:
    """Return the words after an encoder, from 1, or the embeddings, 0; eliminated ones as dots or dimmed."""
    line = Text()
    for number, piece in enumerate(trace.pieces):
        if number and not piece.joined:
            line.append(" ")
        if piece.survives >= encoder:
            line.append(piece.text)
        elif dots:
            line.append("·" * len(piece.text))
        else:
            line.append(piece.text, "dim strike" if piece.survives == encoder - 1 else "dim")
    return line


def write_page(path: Path, model: str, encoders: int, traces: Sequence[Trace]) -> None:
    """Write one HTML file without scripts or references; all text of the inputs is escaped."""
    loader = PackageLoader("powerbert.analyse", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.get_template("trace.html.jinja")
    page = template.render(model=model, encoders=encoders, traces=traces)
    path.write_text(page, encoding="utf-8")


def _sample_inputs(subject: Subject, inputs: int) -> tuple[list[Texts], list[str | None]]:
    """Draw inputs of the dataset, with the name of their class or their number."""
    rows, names = subject.sample(inputs), subject.task.label_names
    texts = [tuple(row[column] for column in subject.task.text_columns) for row in rows]
    if "label" not in rows.column_names:
        return texts, [None] * len(texts)
    if subject.task.is_multi_label:
        return texts, [", ".join(compress(names or (), label)) or "none" for label in rows["label"]]
    return texts, [f"{label:.2f}" if names is None else names[label] for label in rows["label"]]


def _draw(traces: Sequence[Trace], encoders: int) -> Figure:
    columns = [
        (trace, trace.pieces[start : start + PIECES_PER_COLUMN])
        for trace in traces
        for start in range(0, len(trace.pieces), PIECES_PER_COLUMN)
    ]
    longest = max(len(pieces) for _, pieces in columns)
    with new_figure(3.2 * len(columns), 0.18 * longest + 1.2) as figure:
        panels = figure.subplots(1, len(columns), squeeze=False)[0]
        for axes, (trace, pieces) in zip(panels, columns, strict=True):
            colours = [BLUE if piece.survives == encoders else GREY for piece in pieces]
            axes.barh(range(len(pieces)), [piece.survives for piece in pieces], height=0.7, color=colours)
            axes.set_yticks(range(len(pieces)), [piece.text for piece in pieces], fontsize=8)
            axes.set_ylim(longest - 0.4, -0.6)
            axes.set_xlim(0, encoders)
            axes.set_xticks(range(encoders + 1))
            axes.set_xlabel("last encoder that retains it")
            axes.grid(axis="x")
            axes.grid(axis="y", visible=False)
            axes.set_title("\n".join(filter(None, (trace.heading, trace.verdict))), fontsize=9)
    return figure
