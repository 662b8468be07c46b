"""Figure 3(b): what eliminating one word-vector does to the predicted label (supplement, section 1.1).

X is the label that the fine-tuned model predicts for an input; Y_k is what it predicts when encoder j
eliminates only the word-vector with the k-th highest significance, between self-attention and the
feed-forward network, and no other encoder eliminates anything.

Ordered positions k count from 1, and [CLS] always takes the first: the label is read from it, so k starts
at 2. An input with fewer than k real words is not counted for k. At the last encoder MI(X; Y_k) is H(X),
since no later self-attention could carry the loss to [CLS].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from powerbert.analyse.information import entropy, mutual_information
from powerbert.analyse.parts import Parts, take_apart
from powerbert.base.errors import ConfigError
from powerbert.base.figures import GREY, new_figure, save, shades
from powerbert.elimination import blockwise_significance, extract_mask, extract_rows
from powerbert.models.encoder import HostEncoder, encode, encode_and_soft_extract
from powerbert.predict.subject import Subject

PAPER_ENCODERS = (1, 3, 6, 9)
"""Those that the paper's figures show."""

FIRST_POSITION = 2
"""The ordered position after that of [CLS]."""


def run(
    subject: Subject,
    output: Path,
    encoders: Sequence[int] | str | None = None,
    positions: Sequence[int] | int | None = None,
    min_inputs: int = 30,
) -> pd.DataFrame:
    """Eliminates each word-vector in turn and writes `mutual_information.csv`, `.png` and `.svg`.

    Args:
        subject: a fine-tuned classifier that eliminates nothing.
        output: the folder for the files.
        encoders: which, from 1, or "all"; None for those of the paper's figure that the model has.
        positions: ordered positions: all up to a number, or a list; None for all up to the longest input.
        min_inputs: positions that fewer inputs have are left out of the figure.

    Returns:
        The table, one row per encoder and position that any input has: `encoder`, `position`, `inputs` (how
        many were counted), `mutual_information` and `entropy` of X over these inputs, both in nats, and
        `agreement`, the share of them whose label stays.

    Raises:
        ConfigError: if the model eliminates already or predicts a number, or for encoders or positions that
            it does not have.
    """
    classes, choices = _check(subject), subject.task.num_choices
    parts = take_apart(subject.model)
    chosen_encoders = resolve_encoders(encoders, len(parts.hosts))
    chosen_positions = resolve_positions(positions, subject.longest)
    joint = np.zeros((len(chosen_encoders), len(chosen_positions), classes, classes), dtype=np.int64)
    for batch in subject.batches("Mutual information"):
        joint += count_labels(parts, batch, chosen_encoders, chosen_positions, classes, choices)
    table = tabulate(joint, chosen_encoders, chosen_positions)
    save(_draw(table, subject.title, min_inputs), table, output, "mutual_information")
    return table


@torch.inference_mode()
def count_labels(
    parts: Parts,
    batch: dict[str, Tensor],
    encoders: Sequence[int],
    positions: Sequence[int],
    classes: int,
    choices: int = 1,
) -> NDArray[np.int64]:
    """How often a label was predicted, and which one instead without one word-vector.

    The feed-forward network treats each word-vector by itself, so eliminating one just before it leaves the
    others as they are until the next encoder. All positions therefore share the encoders up to j.

    Args:
        parts: the model's.
        batch: `input_ids`, `attention_mask` and so on, [S, N].
        encoders: which are to eliminate, from 1.
        positions: the ordered positions k, increasing, from 2.
        classes: number of labels.
        choices: sequences that make one input; each of them loses its own k-th word-vector.

    Returns:
        The number of inputs by encoder, position, X and Y_k, [encoders, positions, classes, classes].
    """
    mask = batch["attention_mask"].bool()
    hidden = parts.embed(**{key: value for key, value in batch.items() if key != "attention_mask"})
    after: dict[int, tuple[Tensor, Tensor]] = {}
    for encoder, host in enumerate(parts.hosts, start=1):
        if encoder in encoders:
            hidden, order = encode_and_order(host, hidden, mask)
            after[encoder] = hidden, order
        else:
            hidden = encode(host, hidden, mask)

    def predict(hidden: Tensor, mask: Tensor) -> Tensor:
        logits = parts.classify(hidden, mask)
        return (logits if choices == 1 else logits.view(-1, choices)).argmax(dim=-1)

    labels = predict(hidden, mask)
    words = mask.sum(dim=1).view(-1, choices).amin(dim=1)
    most = int(words.max())
    joint = np.zeros((len(encoders), len(positions), classes, classes), dtype=np.int64)
    for row, encoder in enumerate(encoders):
        hidden, order = after[encoder]
        for column, k in enumerate(positions):
            if k > most:
                break
            rest, rest_mask = eliminate_one(hidden, mask, order[:, k - 1])
            for host in parts.hosts[encoder:]:
                rest = encode(host, rest, rest_mask)
            outcomes = (labels * classes + predict(rest, rest_mask))[words >= k]
            joint[row, column] = outcomes.bincount(minlength=classes**2).view(classes, classes).cpu()
    return joint


def encode_and_order(host: HostEncoder, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Runs an encoder that eliminates nothing, and sorts its word-vectors by decreasing significance.

    Returns:
        The encoder's output, [S, N, D], and the original position of each ordered one, [S, N].
    """
    ranks: list[Tensor] = []

    def scale_nothing(attended: Tensor, ordered_positions: Tensor) -> Tensor:
        ranks.append(ordered_positions)
        return attended

    score = blockwise_significance
    output = encode_and_soft_extract(host, hidden, mask, scale_nothing, score, protect_cls=True)
    return output, ranks[0].argsort(dim=1)


def eliminate_one(hidden: Tensor, mask: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """Removes one word-vector of each sequence.

    Args:
        hidden: [S, N, D].
        mask: [S, N].
        position: which one to remove, [S].

    Returns:
        The others, [S, N - 1, D], with their mask, [S, N - 1].
    """
    places = torch.arange(hidden.shape[1] - 1, device=hidden.device)
    kept = places + (places >= position.unsqueeze(1))
    return extract_rows(hidden, kept), extract_mask(mask, kept)


def tabulate(joint: NDArray[np.int64], encoders: Sequence[int], positions: Sequence[int]) -> pd.DataFrame:
    """The table of `run` from the counts of `count_labels`."""
    rows = []
    for row, encoder in enumerate(encoders):
        for column, k in enumerate(positions):
            counts = joint[row, column]
            if not counts.any():
                continue
            rows.append(
                {
                    "encoder": encoder,
                    "position": k,
                    "inputs": counts.sum(),
                    "mutual_information": mutual_information(counts),
                    "entropy": entropy(counts.sum(axis=1)),
                    "agreement": counts.trace() / counts.sum(),
                }
            )
    return pd.DataFrame(rows)


def resolve_encoders(encoders: Sequence[int] | str | None, count: int) -> list[int]:
    """The encoders to analyse, from 1, increasing.

    Args:
        encoders: as for `run`.
        count: how many the model has, L.

    Raises:
        ConfigError: if one is not among them.
    """
    if encoders is None:
        return [encoder for encoder in PAPER_ENCODERS if encoder <= count]
    if encoders == "all":
        return list(range(1, count + 1))
    return _numbers("encoders", encoders, 1, count, f"the model has encoders 1 to {count}")


def resolve_positions(positions: Sequence[int] | int | None, longest: int) -> list[int]:
    """The ordered positions to analyse, increasing.

    Args:
        positions: as for `run`.
        longest: word pieces of the longest input.

    Raises:
        ConfigError: if one is not a position that a word-vector other than [CLS] can have.
    """
    last = longest if positions is None else positions
    if isinstance(last, int) and not isinstance(last, bool) and last >= FIRST_POSITION:
        return list(range(FIRST_POSITION, min(last, longest) + 1))
    reason = (
        f"the longest input has {longest} word-vectors, and the first is [CLS], which is never eliminated"
    )
    return _numbers("positions", last, FIRST_POSITION, longest, reason)


def _numbers(key: str, given: object, low: int, high: int, reason: str) -> list[int]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ConfigError(f"analysis.{key}: {given!r} must be a list of whole numbers; {reason}")
    for number in given:
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ConfigError(f"analysis.{key}: {number!r} is not one of them: {reason}")
    return sorted(set(given))


def _check(subject: Subject) -> int:
    """The number of classes that the model predicts.

    Raises:
        ConfigError: if it eliminates already, or predicts a number.
    """
    config: Any = subject.model.config
    if any(getattr(config, field, None) for field in ("retention_configuration", "soft_extract_length")):
        raise ConfigError(
            f"artifact: {subject.folder} eliminates word-vectors already; give the fine-tuned model"
        )
    classes = subject.task.num_choices if subject.task.is_multiple_choice else config.num_labels
    if classes == 1:
        raise ConfigError(
            f"artifact: {subject.folder} predicts a number; mutual information is between predicted classes"
        )
    return classes


def _draw(table: pd.DataFrame, title: str, min_inputs: int) -> Figure:
    shown = table[table["inputs"] >= min(min_inputs, table["inputs"].max())]
    with new_figure(6, 4.5) as figure:
        axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        axes.set_title(title)
        axes.set_ylabel("mutual information MI(X; Yₖ), nats")
        encoders = shown["encoder"].unique()
        for encoder, colour, marker in zip(encoders, shades(len(encoders)), "osD^vPX*<>ph" * 4, strict=False):
            line = shown[shown["encoder"] == encoder]
            axes.plot(
                line["position"],
                line["mutual_information"],
                color=colour,
                marker=marker,
                markersize=3.5,
                linewidth=1.3,
                label=f"encoder {encoder}",
            )
        counted = shown.drop_duplicates("position")
        axes.plot(counted["position"], counted["entropy"], color="black", linestyle=":", label="entropy H(X)")
        axes.legend(loc="best", ncols=2 if len(encoders) > 4 else 1)
        below.step(counted["position"], counted["inputs"], where="mid", color=GREY)
        below.set_ylim(bottom=0)
        below.set_ylabel("inputs")
        below.set_xlabel("k, ordered position of the eliminated word-vector (1 is [CLS])")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
