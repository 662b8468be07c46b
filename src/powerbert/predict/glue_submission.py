"""Files for GLUE's server: `python -m powerbert.predict artifact=[a,b] +format=glue output=glue`.

Each file has one line per row of the task's test set, in order: the row's number and the prediction.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

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


class TestSet(NamedTuple):
    """The file of a test set, its number of rows, and whether the server wants the labels' names."""

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
"""The test sets that every model of MNLI predicts, whichever dev set selected it."""


def write_submission(
    artifacts: Sequence[Path], output: Path, cache: Path, batch_size: int = 32, *, cls_alone: bool = False
) -> None:
    """Predict the test sets of the tasks that the artifacts were trained on, and log which files are missing.

    The test sets come from where `conf/dataset` finds them now (`GLUE_DIR`, else the hub), not from where the
    training set came from. Files of other tasks already in the folder count as written.

    Args:
        artifacts: One per task. The first of MNLI also predicts those test sets of `MNLI` that have none.

    Raises:
        ConfigError: If an artifact was not trained on GLUE, or two were trained on the same task.
        ModelError: If a folder holds no artifact.
        DataError: If the test set of an artifact's own task is not available.
    """
    if output.is_file():
        raise ConfigError(f"output: {output} is a file; give a folder")
    folders = _by_task(artifacts)
    test_sets = {task: (folder, load_test_set(task, cache)) for task, folder in folders.items()}
    mnli = [folder for task, folder in folders.items() if task in MNLI]
    for task in MNLI if mnli else ():
        if task not in folders:
            try:
                test_sets[task] = mnli[0], load_test_set(task, cache)
            except DataError as error:
                log.warning("%s is left out: %s", TEST_SETS[task].file, error)
    for task, (folder, rows) in test_sets.items():
        predictor = Predictor(folder, batch_size, cls_alone=cls_alone)
        _write(output / TEST_SETS[task].file, TEST_SETS[task], predictor, rows)
    names = [test_set.file for test_set in TEST_SETS.values()]
    missing = [name for name in names if not (output / name).is_file()]
    if missing:
        log.info("GLUE's server takes all %d files in one zip; missing: %s", len(names), ", ".join(missing))
    else:
        log.info("all %d files are there; GLUE's server takes them in one zip", len(names))


def load_test_set(task: str, cache: Path) -> Dataset:
    """Load the test set of a task, a key of `TEST_SETS`, in the server's order.

    Raises:
        DataError: If there is none, or only one in another order.
    """
    settings = packaged_source(task, cache)
    settings["layout"]["files"].get("test", []).reverse()  # the unlabelled file, which a layout lists last
    source = instantiate(settings)
    source.available()
    rows = source.load().get("test")
    if rows is None:
        raise DataError(f"dataset '{task}' has no test set in GLUE_DIR={source.folder}")
    if task == "sst2" and "label" in rows.column_names:
        raise DataError(
            f"GLUE_DIR={source.folder}: SST-2/test_labelled.tsv is not in the order of GLUE's test set; a "
            "submission needs SST-2/test.tsv of GLUE's download"
        )
    expected = TEST_SETS[task].rows
    if len(rows) != expected:
        log.warning("the test set of '%s' has %d rows instead of GLUE's %d", task, len(rows), expected)
    return rows


def format_predictions(test_set: TestSet, task: Task, logits: Tensor) -> list[str]:
    """Convert logits, [rows, classes] or [rows, 1] for regression, into the server's predictions.

    Returns:
        For each row a label's name or index, or a number from 0 to 5.
    """
    if task.label_names is None:
        return [f"{value:.3f}" for value in logits.squeeze(-1).clamp(0, 5).tolist()]
    labels = task.label_names if test_set.words else range(task.num_labels)
    return [str(labels[index]) for index in logits.argmax(-1).tolist()]


def _by_task(artifacts: Iterable[Path]) -> dict[str, Path]:
    """Map the task that each artifact was trained on to its folder."""
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


def _write(path: Path, test_set: TestSet, predictor: Predictor, rows: Dataset) -> None:
    with output_file(path) as file:
        logits = predictor.logits(rows.select_columns(list(predictor.task.text_columns)))
        file.write("index\tprediction\n")
        for index, prediction in enumerate(format_predictions(test_set, predictor.task, logits)):
            file.write(f"{index}\t{prediction}\n")
    log.info("%s: %d predictions", path, len(rows))
