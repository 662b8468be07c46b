"""What an exported file gives up and gains on a dataset: labels, metric, and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from powerbert.base.errors import DataError
from powerbert.data import PaddingCollator
from powerbert.export.check import Agreement, agreement, metric_of, row_logits
from powerbert.export.host import find_baseline
from powerbert.measure import LatencySettings, measure_latency
from powerbert.predict.subject import Subject


@dataclass(frozen=True)
class Outcome:
    """What came out for one model or file.

    Attributes:
        metric: The task's, on the split.
        agreement: With the model that was exported.
        latency: As `measure_latency` returns it, against the trial's baseline.
    """

    metric: float
    agreement: Agreement
    latency: Mapping[str, Mapping[str, Any]]


class Trial:
    """A split of a dataset, the model's logits for it, and the baseline that files are timed against.

    Attributes:
        baseline: What `find_baseline` finds.
        baseline_name: Its name; None if its weights are random.
        baseline_metric: Its metric on the split; None if its weights are random.
        reference: What came out for the model that is exported.
    """

    def __init__(self, subject: Subject, settings: LatencySettings):
        """Reads the rows, and tries the model itself and the baseline on them.

        Args:
            subject: The artifact with its dataset and the split.
            settings: Of the latency.

        Raises:
            UserError: If the rows cannot be had, or have no labels.
        """
        self.subject = subject
        self.settings = settings
        self.task = subject.task
        self.rows = subject.encoded
        if "label" not in self.rows.column_names:
            raise DataError(
                f"check: split '{subject.split}' of dataset '{self.task.name}' has no labels; take another"
            )
        self.split = subject.split
        self.labels = torch.as_tensor(self.rows["label"][:])
        self.collate = PaddingCollator(subject.predictor.tokenizer, self.task)
        self.expected = self._logits(subject.model)
        self.baseline_name, self.baseline = find_baseline(subject.folder, subject.model)
        known = self.baseline_name is not None
        self.baseline_metric = self._metric(self._logits(self.baseline)) if known else None
        self.reference = self._outcome(subject.model, self.expected)

    def of(self, model: nn.Module) -> Outcome:
        """Runs a model or file on all rows, and times it.

        Args:
            model: On the CPU.
        """
        return self._outcome(model, self._logits(model))

    def _outcome(self, model: nn.Module, logits: Tensor) -> Outcome:
        latency = measure_latency(
            model,
            self.baseline,
            self.rows,
            max_length=self.subject.max_length,
            collate=self.collate,
            settings=self.settings,
        )
        return Outcome(
            self._metric(logits), agreement(logits, self.expected, self.task.is_regression), latency
        )

    def _logits(self, model: nn.Module) -> Tensor:
        return row_logits(model, self.rows, self.collate, self.subject.batch_size)

    def _metric(self, logits: Tensor) -> float:
        return metric_of(logits, self.labels, self.task)
