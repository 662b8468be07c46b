"""Weights of the classes in the task loss: given, or such that rare classes count as much as others."""

import logging
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from powerbert.base.checks import check_number
from powerbert.base.errors import ConfigError, DataError
from powerbert.data.task import Task

log = logging.getLogger(__name__)

ClassWeights = str | tuple[float, ...] | None


def check_class_weights(given: Any, task: Task) -> ClassWeights:
    """Return the setting `class_weights` of a task: `balanced`, a weight for each class, or None.

    Raises:
        ConfigError: If it is anything else, or the task has no classes.
    """
    if given is None:
        return None
    if task.is_regression or task.is_reranking or task.is_multiple_choice:
        kind = "regression" if task.is_regression else task.kind.replace("_", " ")
        raise ConfigError(f"class_weights: {kind} has no classes to weigh; remove it")
    names = task.label_names or ()
    if given == "balanced":
        return "balanced"
    if not isinstance(given, list | tuple) or len(given) != len(names):
        found = f"{len(given)} weights" if isinstance(given, list | tuple) else f"{given!r}"
        raise ConfigError(
            f"class_weights: {found} must be balanced, or {len(names)} weights, of {', '.join(names)}"
        )
    for name, weight in zip(names, given, strict=True):
        check_number(f"class_weights, {name}", weight, strict=True)
    return tuple(float(weight) for weight in given)


def weigh_classes(given: ClassWeights, task: Task, train: Dataset) -> Tensor | None:
    """Return the weight of each class, [classes], or None.

    Balanced ones are ``rows / (classes * rows of the class)``, of which the mean over all rows is 1; of
    several labels ``rows without the label / rows with it``, for the rows with it.

    Raises:
        DataError: If balanced weights are asked for, and a class has no rows, or a label all of them.
    """
    if given is None or not isinstance(given, str):
        return None if given is None else torch.tensor(given)
    labels = torch.as_tensor(train.select_columns("label").with_format("numpy")[:]["label"])
    names, rows = task.label_names or (), len(labels)
    present = labels.sum(0) if task.is_multi_label else labels.bincount(minlength=len(names))
    weights = (rows - present) / present if task.is_multi_label else rows / (len(names) * present)
    for name, count, weight in zip(names, present.tolist(), weights.tolist(), strict=True):
        if count == 0 or weight == 0:
            problem = "no row" if count == 0 else "every row"
            raise DataError(
                f"class_weights: balanced is undefined, since {problem} of train has the class '{name}'; "
                "give a list of weights, or leave the class out"
            )
    told = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(names, weights.tolist(), strict=True))
    log.info("class_weights: %s", told)
    return weights.float()
