"""Figure 3(b): the effect of eliminating one word-vector on the predicted label (supplement, section 1.1).

X is the label that the fine-tuned model predicts for an input. Y_k is the label when encoder j eliminates
only the word-vector with the k-th highest significance, between self-attention and the feed-forward network,
and no other encoder eliminates anything.

Ordered positions k count from 1. [CLS], which the label is read from, always takes the first, so k starts at
2. An input with fewer than k real words is not counted for k. At the last encoder MI(X; Y_k) is H(X): no
later self-attention can carry the loss to [CLS].
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from powerbert.base.checks import check_whole
from powerbert.base.errors import ConfigError
from powerbert.base.figures import GREY, new_figure, save, shades
from powerbert.elimination import blockwise_significance, extract_mask, extract_rows
from powerbert.models import EXCLUSIVE, classify, embed, host_encoders
from powerbert.models.encoder import HostEncoder, encode, encode_and_soft_extract
from powerbert.predict.subject import Subject

PAPER_ENCODERS = (1, 3, 6, 9)
"""The encoders in the paper's figure."""

FIRST_POSITION = 2
"""The ordered position after that of [CLS]."""

Counts = NDArray[np.int64]
"""The number of inputs with X = b and Y_k = b', [classes, classes]."""


def run(
    subject: Subject,
    output: Path,
    encoders: Sequence[int] | str | None = None,
    positions: Sequence[int] | int | None = None,
    min_inputs: int = 30,
) -> pd.DataFrame:
    """Eliminate each word-vector in turn and write `mutual_information.csv`, `.png` and `.svg` to `output`.

    Args:
        subject: A fine-tuned classifier that eliminates nothing.
        encoders: A list, from 1, or "all"; None for those of the paper's figure that the model has.
        positions: All ordered positions up to a number, or a list; None for all of the longest input.
        min_inputs: The figure omits positions that fewer inputs have.

    Returns:
        One row per encoder and position that any input has: `encoder`, `position`, `inputs` (the number
        counted), `mutual_information` and `entropy` of X over these inputs, both in nats, and `agreement`,
        the share of inputs whose label stays.

    Raises:
        ConfigError: If the model already eliminates or predicts a number, or lacks an encoder or position.
    """
    classes = _number_of_classes(subject)
    js = resolve_encoders(encoders, len(host_encoders(subject.model)))
    ks = resolve_positions(positions, subject.longest)
    joint: dict[tuple[int, int], Counts] = defaultdict(lambda: np.zeros((classes, classes), dtype=np.int64))
    for batch in subject.batches("Mutual information"):
        for variant, counts in count_labels(subject.model, batch, js, ks, classes, subject.task.num_choices):
            joint[variant] += counts
    table = tabulate(joint)
    save(_draw(table, subject.title, min_inputs), table, output, "mutual_information")
    return table


def mutual_information(joint: Counts) -> float:
    """Return MI(X; Y) = sum over b, b' of Pr(X = b, Y = b') ln [Pr(X = b, Y = b') / (Pr(X = b) Pr(Y = b'))].

    In nats; 0 if X and Y are independent, H(X) if Y determines X.
    """
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    count = joint.sum()
    return float((joint[seen] / count * np.log(joint[seen] * count / independent[seen])).sum())


@torch.inference_mode()
def count_labels(
    model: PreTrainedModel,
    batch: dict[str, Tensor],
    encoders: Sequence[int],
    positions: Sequence[int],
    classes: int,
    choices: int = 1,
) -> Iterator[tuple[tuple[int, int], Counts]]:
    """Count the labels that a batch is given with all word-vectors, together with those without one.

    `encoders` and `positions` are those to eliminate at, from 1 and 2. Of an input of several sequences
    (`choices`) each loses its own k-th word-vector.

    Yields:
        (encoder, position) and the counts by X and Y_k, if any input has the position.
    """
    words = batch["attention_mask"].sum(dim=1).view(-1, choices).amin(dim=1)
    reached = [k for k in positions if k <= int(words.max())]
    variants = logits_without_one(model, batch, encoders, reached)
    # The classes of multiple choice are the choices, whose logits are [S, 1].
    labels = {variant: logits.view(-1, classes).argmax(dim=-1) for variant, logits in variants}
    unchanged = labels.pop((0, 0))
    for (encoder, k), changed in labels.items():
        outcomes = (unchanged * classes + changed)[words >= k].bincount(minlength=classes**2)
        yield (encoder, k), outcomes.view(classes, classes).cpu().numpy()


def logits_without_one(
    model: PreTrainedModel, batch: dict[str, Tensor], encoders: Sequence[int], positions: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Yield each (encoder, position) and the logits without that one; last (0, 0) and those with all.

    The feed-forward network treats each word-vector separately, so eliminating one just before it leaves the
    others unchanged until the next encoder. All positions therefore share the encoders up to j.
    """
    mask = batch["attention_mask"].bool()
    hosts = host_encoders(model)
    hidden = embed(model, **{key: value for key, value in batch.items() if key != "attention_mask"})
    for encoder, host in enumerate(hosts, start=1):
        if encoder not in encoders:
            hidden = encode(host, hidden, mask)
            continue
        hidden, order = encode_and_order(host, hidden, mask)
        for k in positions:
            rest, rest_mask, places = eliminate_one(hidden, mask, order[:, k - 1])
            for later in hosts[encoder:]:
                rest = encode(later, rest, rest_mask, places=places)
            yield (encoder, k), classify(model, rest, rest_mask)
    yield (0, 0), classify(model, hidden, mask)


def encode_and_order(host: HostEncoder, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return an encoder's output without elimination, [S, N, D], and its word-vectors by significance.

    The latter are the original positions, [S, N], of the most to the least significant word-vector.
    """
    orders: list[Tensor] = []

    def scale_nothing(attended: Tensor, ordered_positions: Tensor) -> Tensor:
        orders.append(ordered_positions.argsort(dim=1))
        return attended

    score = blockwise_significance
    return encode_and_soft_extract(host, hidden, mask, scale_nothing, score, protect_cls=True), orders[0]


def eliminate_one(hidden: Tensor, mask: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Remove the word-vector at `position` [S] of each sequence from `hidden` [S, N, D] and `mask` [S, N].

    The third result has the places of the others, [S, N - 1].
    """
    places = torch.arange(hidden.shape[1] - 1, device=hidden.device)
    kept = places + (places >= position.unsqueeze(1))
    return extract_rows(hidden, kept), extract_mask(mask, kept), kept


def tabulate(joint: Mapping[tuple[int, int], Counts]) -> pd.DataFrame:
    """Return the table of `run` from the counts of each encoder and position."""
    rows = [
        {
            "encoder": encoder,
            "position": k,
            "inputs": counts.sum(),
            "mutual_information": mutual_information(counts),
            "entropy": mutual_information(np.diag(counts.sum(axis=1))),  # H(X) = MI(X; X)
            "agreement": counts.trace() / counts.sum(),
        }
        for (encoder, k), counts in sorted(joint.items())
    ]
    return pd.DataFrame(rows)


def resolve_encoders(encoders: Sequence[int] | str | None, count: int) -> list[int]:
    """Return the encoders to analyse, increasing, of a model with `count`; see `run` for the values."""
    if encoders is None:
        return [encoder for encoder in PAPER_ENCODERS if encoder <= count]
    if encoders == "all":
        return list(range(1, count + 1))
    return _numbers("analysis.encoders", encoders, 1, count)


def resolve_positions(positions: Sequence[int] | int | None, longest: int) -> list[int]:
    """Return the ordered positions to analyse, increasing; `longest` is the number of pieces of an input."""
    last = longest if positions is None else positions
    if isinstance(last, int):
        check_whole("analysis.positions", last, FIRST_POSITION)
        return list(range(FIRST_POSITION, min(last, longest) + 1))
    return _numbers("analysis.positions", last, FIRST_POSITION, longest)


def _numbers(key: str, given: object, low: int, high: int) -> list[int]:
    """Check and sort the whole numbers of a list."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ConfigError(f"{key}: {given!r} must be a list of whole numbers from {low} to {high}")
    for number in given:
        check_whole(key, number, low, high)
    return sorted(set(given))


def _number_of_classes(subject: Subject) -> int:
    """Return the number of classes; raise ConfigError if the model eliminates or predicts a number."""
    config: Any = subject.model.config
    where = f"artifact: {subject.folder}"
    if any(getattr(config, field, None) is not None for field in (*EXCLUSIVE, "active_encoders")):
        raise ConfigError(f"{where} eliminates word-vectors already; give the fine-tuned model")
    classes = subject.task.num_choices if subject.task.is_multiple_choice else config.num_labels
    if classes == 1 or subject.task.is_multi_label:
        what = "several labels" if subject.task.is_multi_label else "a number"
        raise ConfigError(f"{where} predicts {what}; mutual information needs one predicted class")
    return classes


def _draw(table: pd.DataFrame, title: str, min_inputs: int) -> Figure:
    shown = table[table["inputs"] >= min(min_inputs, table["inputs"].max())]
    lines = shown.groupby("encoder")
    with new_figure(6, 4.5) as figure:
        axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        axes.set_title(title)
        axes.set_ylabel("mutual information MI(X; Yₖ), nats")
        styles = zip(shades(len(lines)), "osD^vPX*<>ph" * 4, strict=False)
        for (encoder, line), (colour, marker) in zip(lines, styles, strict=False):
            values = line["position"], line["mutual_information"]
            axes.plot(*values, f"{marker}-", c=colour, ms=3.5, lw=1.3, label=f"encoder {encoder}")
        counted = shown.drop_duplicates("position")
        axes.plot(counted["position"], counted["entropy"], color="black", linestyle=":", label="entropy H(X)")
        axes.legend(loc="best", ncols=2 if len(lines) > 4 else 1)
        below.step(counted["position"], counted["inputs"], where="mid", color=GREY)
        below.set_ylim(bottom=0)
        below.set_ylabel("inputs")
        below.set_xlabel("k, ordered position of the eliminated word-vector (1 is [CLS])")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
