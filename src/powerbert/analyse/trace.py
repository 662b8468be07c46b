"""Figure 4 on real inputs: which word pieces survive each encoder."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from powerbert.analyse.page import write_page
from powerbert.analyse.survival import Trace, trace_inputs
from powerbert.base.errors import ConfigError
from powerbert.base.figures import BLUE, GREY, new_figure, save
from powerbert.predict.predictor import Texts
from powerbert.predict.subject import Subject

PIECES_PER_COLUMN = 64

log = logging.getLogger(__name__)


def run(
    subject: Subject, output: Path, text: str | None = None, text_pair: str | None = None, inputs: int = 3
) -> list[Trace]:
    """Prints the surviving words and writes `trace.html`, `trace.csv`, `.png` and `.svg`.

    On a terminal eliminated words are dimmed, elsewhere each of their letters becomes a dot.

    Args:
        subject: a model with a retention configuration, with its inputs.
        output: the folder for the files.
        text: traced instead of the dataset's inputs.
        text_pair: its second text, for a task on pairs.
        inputs: how many of the dataset's inputs to trace.

    Returns:
        A trace for each sequence: for each input, or each of its choices.

    Raises:
        ConfigError: if the model has no retention configuration, or `inputs` cannot be meant.
    """
    if isinstance(inputs, bool) or not isinstance(inputs, int) or inputs < 1:
        raise ConfigError(f"analysis.inputs: {inputs!r} must be a whole number of at least 1")
    configuration = getattr(subject.model.config, "retention_configuration", None)
    if configuration is None:
        raise ConfigError(
            f"artifact: {subject.folder} has no retention configuration, so it eliminates nothing; "
            "give a re-trained model"
        )
    rows, labels = _draw_inputs(subject, inputs) if text is None else _given(text, text_pair)
    traces = trace_inputs(subject.predictor, rows, labels)
    print_traces(traces, configuration)
    save(_draw(traces, len(configuration)), tabulate(traces), output, "trace")
    write_page(output / "trace.html", subject.name, configuration, traces)
    log.info("wrote %s", output / "trace.html")
    return traces


def print_traces(
    traces: Sequence[Trace], configuration: Sequence[int], console: Console | None = None
) -> None:
    """Prints a line of words for each encoder.

    Args:
        traces: to print.
        configuration: the model's retention configuration.
        console: where to; standard output by default.
    """
    console = console or Console()
    console.print(f"retention configuration {tuple(configuration)}", highlight=False)
    for one in traces:
        table = Table(box=None, header_style="", pad_edge=False)
        table.add_column("encoder", justify="right", no_wrap=True)
        table.add_column("retains", justify="right", no_wrap=True)
        table.add_column()
        for encoder in range(len(configuration) + 1):
            words = words_at(one, encoder, dots=not console.is_terminal)
            table.add_row(str(encoder) if encoder else "", str(one.retained(encoder)), words)
        console.print()
        console.print(Text(one.title, "bold"))
        console.print(table)


def words_at(one: Trace, encoder: int, *, dots: bool) -> Text:
    """The words after an encoder, from 1; 0 stands for the embeddings.

    Args:
        one: the trace.
        encoder: which.
        dots: shows an eliminated word as dots, instead of dimming it.
    """
    line = Text()
    for number, piece in enumerate(one.pieces):
        if number and not piece.joined:
            line.append(" ")
        if piece.survives >= encoder:
            line.append(piece.text)
        elif dots:
            line.append("·" * len(piece.text))
        else:
            line.append(piece.text, "dim strike" if piece.survives == encoder - 1 else "dim")
    return line


def tabulate(traces: Sequence[Trace]) -> pd.DataFrame:
    """One row per word piece.

    Returns:
        `sequence` and `position`, both from 1, the `piece`, and `survives`, the last encoder that retains it.
    """
    rows = [
        {"sequence": number, "position": position, "piece": piece.text, "survives": piece.survives}
        for number, one in enumerate(traces, start=1)
        for position, piece in enumerate(one.pieces, start=1)
    ]
    return pd.DataFrame(rows)


def _given(text: str, text_pair: str | None) -> tuple[list[Texts], list[str | None]]:
    return [(text,) if text_pair is None else (text, text_pair)], [None]


def _draw_inputs(subject: Subject, inputs: int) -> tuple[list[Texts], list[str | None]]:
    rows, names = subject.sample(inputs), subject.task.label_names
    texts = [tuple(row[column] for column in subject.task.text_columns) for row in rows]
    if "label" not in rows.column_names:
        return texts, [None] * len(texts)
    return texts, [f"{label:.2f}" if names is None else names[label] for label in rows["label"]]


def _draw(traces: Sequence[Trace], encoders: int) -> Figure:
    columns = [
        (one, one.pieces[start : start + PIECES_PER_COLUMN])
        for one in traces
        for start in range(0, len(one.pieces), PIECES_PER_COLUMN)
    ]
    height = 0.18 * max(len(pieces) for _, pieces in columns) + 1.2
    with new_figure(3.2 * len(columns), height) as figure:
        for axes, (one, pieces) in zip(
            figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True
        ):
            lasting = [piece.survives for piece in pieces]
            colours = [BLUE if survives == encoders else GREY for survives in lasting]
            axes.barh(range(len(pieces)), lasting, height=0.7, color=colours)
            axes.set_yticks(range(len(pieces)), [p.text for p in pieces], fontsize=8)
            axes.set_ylim(max(len(pieces) for _, pieces in columns) - 0.4, -0.6)
            axes.set_xlim(0, encoders)
            axes.set_xticks(range(encoders + 1))
            axes.set_xlabel("last encoder that retains it")
            axes.grid(axis="x")
            axes.grid(axis="y", visible=False)
            axes.set_title("\n".join(filter(None, (one.heading, one.verdict))), fontsize=9)
    return figure
