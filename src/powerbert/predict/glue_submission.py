"""Files for GLUE's server: `python -m powerbert.predict artifact=[a,b] +format=glue output=glue`.

Each file has one line per row of the task's test set, in order: the row's number and the prediction.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from hydra.utils import instantiate
from torch import Tensor

from powerbert.base.errors import ConfigError, DataError
from powerbert.base.files import output_file
from powerbert.data import Task
from powerbert.data.task import packaged_source
from powerbert.predict.predictor import Predictor
from powerbert.store.artifacts import Artifact

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestSet:
    """The server's format of one test set.

    Attributes:
        file: Name of the file.
        rows: Rows of GLUE's own test set.
        words: Whether predictions are the labels' names rather than their indices.
    """

    file: str
    rows: int
    words: bool = False


TEST_SETS = {
    "cola": TestSet("CoLA.tsv", 1063),
    "sst2": TestSet("SST-2.tsv", 1821),
    "mrpc": TestSet("MRPC.tsv", 1725),
    "stsb": TestSet("STS-B.tsv", 1379),
    "qqp": TestSet("QQP.tsv", 390965),
    "mnli_m": TestSet("MNLI-m.tsv", 9796, words=True),
    "mnli_mm": TestSet("MNLI-mm.tsv", 9847, words=True),
    "qnli": TestSet("QNLI.tsv", 5463, words=True),
    "rte": TestSet("RTE.tsv", 3000, words=True),
    "wnli": TestSet("WNLI.tsv", 146),
    "ax": TestSet("AX.tsv", 1104, words=True),
}
"""Name of the dataset's yaml -> format."""

MNLI = ("mnli_m", "mnli_mm", "ax")
"""The test sets that every model of MNLI predicts, whichever dev set it was tuned on."""


def write_submission(artifacts: Sequence[Path], output: Path, cache: Path, batch_size: int = 32) -> None:
    """Predict the test sets of the tasks that the artifacts were trained on, and log which files are missing.

    The test sets come from the place that `conf/dataset` names now (`GLUE_DIR`, else the hub), not from that
    of the training set. Files of other tasks already in the folder count as written.

    Args:
        artifacts: One per task. One of MNLI predicts both of its test sets, and the diagnostic set AX.
        output: Folder of the files, created if missing.
        cache: Folder for converted rows.
        batch_size: Inputs per forward pass.

    Raises:
        ConfigError: If an artifact was not trained on GLUE, or two were trained on the same task.
        ModelError: If a folder holds no artifact.
        DataError: If the test set of an artifact's own task is not available.
    """
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; give a folder")
    own = _by_task(artifacts)
    test_sets = {task: _test_sets(task, own, cache) for task in own}  # load all before predicting any
    for task, rows_by_name in test_sets.items():
        predictor = Predictor(own[task], batch_size)
        for name, rows in rows_by_name.items():
            _write(output / TEST_SETS[name].file, TEST_SETS[name], predictor, rows)
    _log_missing(output)


def load_test_set(task: str, cache: Path) -> Dataset:
    """Load a test set of GLUE in the server's order.

    Args:
        task: A key of `TEST_SETS`.
        cache: Folder for converted rows.

    Raises:
        DataError: If there is none, or one in another order.
    """
    settings = packaged_source(task, cache)
    settings["layout"]["files"].get("test", []).reverse()  # the unlabelled file, which a layout lists last
    source = instantiate(settings)
    source.available()
    splits = source.load()
    if "test" not in splits:
        raise DataError(f"dataset '{task}' has no test set in GLUE_DIR={source.folder}")
    rows = splits["test"]
    if task == "sst2" and "label" in rows.column_names:
        raise DataError(
            f"GLUE_DIR={source.folder}: SST-2/test_labelled.tsv is not in the order of GLUE's test set; a "
            "submission needs SST-2/test.tsv of GLUE's download"
        )
    expected = TEST_SETS[task].rows
    if len(rows) != expected:
        log.warning("the test set of '%s' has %d rows instead of GLUE's %d", task, len(rows), expected)
    return rows


def format_predictions(test_set: TestSet, task: Task, logits: Tensor) -> Iterator[str]:
    """Convert a model's outputs into the server's predictions.

    Args:
        logits: Shape [rows, classes], or [rows, 1] for regression.

    Yields:
        For each row a label's name or index, or a number from 0 to 5.
    """
    if task.label_names is None:
        yield from (f"{value:.3f}" for value in logits.squeeze(-1).clamp(0, 5).tolist())
    else:
        labels = task.label_names if test_set.words else range(task.num_labels)
        yield from (str(labels[index]) for index in logits.argmax(-1).tolist())


def _by_task(artifacts: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in artifacts:
        dataset = Artifact.load(folder).manifest["config"]["dataset"]
        task = dataset["source"].get("task")
        if task not in TEST_SETS:
            raise ConfigError(
                f"artifact: {folder} was trained on '{dataset['name']}', not on a task of GLUE "
                f"({', '.join(TEST_SETS)})"
            )
        if task in found:
            raise ConfigError(f"artifact: both {found[task]} and {folder} were trained on '{task}'")
        found[task] = folder
    return found


def _test_sets(task: str, own: Mapping[str, Path], cache: Path) -> dict[str, Dataset]:
    """Load a task's own test set and, for the first model of MNLI, those that no other model predicts."""
    found = {task: load_test_set(task, cache)}
    if task == next((name for name in own if name in MNLI), None):
        for name in (name for name in MNLI if name not in own):
            try:
                found[name] = load_test_set(name, cache)
            except DataError as error:
                log.warning("%s is left out: %s", TEST_SETS[name].file, error)
    return found


def _write(path: Path, test_set: TestSet, predictor: Predictor, rows: Dataset) -> None:
    with output_file(path) as file:
        logits = predictor.logits(rows.select_columns(list(predictor.task.text_columns)))
        file.write("index\tprediction\n")
        for index, prediction in enumerate(format_predictions(test_set, predictor.task, logits)):
            file.write(f"{index}\t{prediction}\n")
    log.info("%s: %d predictions", path, len(rows))


def _log_missing(output: Path) -> None:
    names = [test_set.file for test_set in TEST_SETS.values()]
    missing = [name for name in names if not (output / name).is_file()]
    if missing:
        log.info("GLUE's server takes all %d files in one zip; missing: %s", len(names), ", ".join(missing))
    else:
        log.info("all %d files are there; GLUE's server takes them in one zip", len(names))
