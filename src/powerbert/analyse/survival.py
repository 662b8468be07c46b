"""Which word pieces of an input survive each encoder, as the words of its text."""

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
        text: as the input has it; special pieces as the tokenizer writes them.
        joined: whether it follows the piece before it without a space.
        survives: the last encoder that retains it, from 1; 0 if the first eliminates it.
    """

    text: str
    joined: bool
    survives: int


@dataclass(frozen=True)
class Trace:
    """One sequence on its way through the encoders.

    Attributes:
        heading: what the sequence is.
        pieces: in the order of the text.
        prediction: of the input, as `Predictor` gives it.
        label: the name or the number that the dataset gives the input; None if it gives none.
    """

    heading: str
    pieces: tuple[Piece, ...]
    prediction: dict[str, Any]
    label: str | None

    def retained(self, encoder: int) -> int:
        """How many word-vectors leave an encoder, from 1; 0 stands for the embeddings."""
        return sum(piece.survives >= encoder for piece in self.pieces)

    @property
    def verdict(self) -> str:
        """The prediction for people, with the dataset's label where there is one."""
        if "value" in self.prediction:
            predicted = f"{self.prediction['value']:.2f}"
        else:
            predicted = f"{self.prediction['label']} ({self.prediction['score']:.2f})"
        return predicted if self.label is None else f"{predicted}, labelled {self.label}"

    @property
    def title(self) -> str:
        """Heading, if there is one, and verdict."""
        return f"{self.heading}: {self.verdict}" if self.heading else self.verdict


def trace_inputs(predictor: Predictor, rows: Sequence[Texts], labels: Sequence[str | None]) -> list[Trace]:
    """Follows inputs through the encoders.

    Args:
        predictor: holds a model with a retention configuration.
        rows: each a tuple with the task's text columns in order.
        labels: what the dataset says of each; None where it says nothing.

    Returns:
        A trace for each input, or for multiple choice for each of its choices.
    """
    traces = []
    for number, (row, label, prediction) in enumerate(zip(rows, labels, predictor(rows), strict=True), 1):
        heading = "" if len(rows) == 1 else f"input {number}"
        for choice, texts in _sequences(row, predictor.task):
            words = trace_pieces(predictor, texts)
            traces.append(Trace(" ".join(filter(None, (heading, choice))), words, prediction, label))
    return traces


@torch.inference_mode()
def trace_pieces(predictor: Predictor, texts: Sequence[str]) -> tuple[Piece, ...]:
    """The word pieces of one sequence, made of one text or of two, with the encoders that they survive."""
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
    """The sequences that make an input, each with what is to be said of it."""
    if not task.is_multiple_choice:
        return [("", row)]
    text, choices = row
    return [
        (f"choice {name}", (text, choice))
        for name, choice in zip(task.label_names or (), choices, strict=True)
    ]
