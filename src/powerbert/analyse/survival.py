"""The word pieces of an input that survive each encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from powerbert.data import Task
from powerbert.predict.predictor import Predictor, Texts


@dataclass(frozen=True)
class Piece:
    """One word piece.

    Attributes:
        text: As in the input; special pieces as the tokenizer writes them.
        joined: Whether it follows the previous piece without a space.
        survives: The last encoder that retains it, from 1; 0 if the first eliminates it.
    """

    text: str
    joined: bool
    survives: int


@dataclass(frozen=True)
class Trace:
    """One sequence on its way through the encoders.

    Attributes:
        heading: The sequence's name: its input and choice; may be empty.
        pieces: In the order of the text.
        prediction: The input's, as returned by `Predictor`.
        label: The input's label in the dataset, a name or a number; None without one.
    """

    heading: str
    pieces: tuple[Piece, ...]
    prediction: dict[str, Any]
    label: str | None

    def retained(self, encoder: int) -> int:
        """Return the number of word-vectors that leave an encoder, from 1; 0 means the embeddings."""
        return sum(piece.survives >= encoder for piece in self.pieces)

    @property
    def verdict(self) -> str:
        """The prediction for people, with the dataset's label if there is one."""
        if "value" in self.prediction:
            predicted = f"{self.prediction['value']:.2f}"
        else:
            predicted = f"{self.prediction['label']} ({self.prediction['score']:.2f})"
        return predicted if self.label is None else f"{predicted}, labelled {self.label}"


def trace_inputs(predictor: Predictor, rows: Sequence[Texts], labels: Sequence[str | None]) -> list[Trace]:
    """Follow inputs through the encoders of a model with a retention configuration.

    Args:
        predictor: The model.
        rows: Each a tuple of the task's text columns in order.
        labels: The dataset's label of each; None where there is none.

    Returns:
        One trace per input; for multiple choice, one per choice.
    """
    traces = []
    for number, (row, label, prediction) in enumerate(zip(rows, labels, predictor(rows), strict=True), 1):
        heading = "" if len(rows) == 1 else f"input {number}"
        for choice, texts in _sequences(row, predictor.task):
            pieces = trace_pieces(predictor, texts)
            traces.append(Trace(f"{heading} {choice}".strip(), pieces, prediction, label))
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


def _sequences(row: Texts, task: Task) -> list[tuple[str, tuple[str, ...]]]:
    """Return the name and the texts of each sequence of an input."""
    if not task.is_multiple_choice:
        return [("", row)]
    text, choices = row
    names = task.label_names or ()
    return [(f"choice {name}", (text, choice)) for name, choice in zip(names, choices, strict=True)]
