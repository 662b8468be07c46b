"""How the files of GLUE's own download are named and what columns they have; each task differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MRPC_TRAIN = "msr_paraphrase_train.txt"
"""MRPC as Microsoft ships it, train and dev in one; `dev_ids.tsv` beside it says which pairs are dev."""

SINGLE = {"sentence": "sentence"}
PAIR = {"sentence1": "sentence1", "sentence2": "sentence2"}
PREMISE = {"sentence1": "premise", "sentence2": "hypothesis"}


@dataclass(frozen=True)
class Layout:
    """Where one task's rows stand.

    Attributes:
        hub: the configuration of the hub dataset.
        columns: the task's text columns -> the files' columns.
        files: splits -> the files that may hold them, first come first served, below `GLUE_DIR`.
        label: the files' column of labels.
        headerless: the columns of train and dev files that have no header line.
        skip_malformed: whether the official train and dev files have broken rows, which everyone leaves out.
        hub_columns: the task's text columns -> the hub's, where those differ.
        hub_splits: splits -> the hub's.
    """

    hub: str
    columns: Mapping[str, str]
    files: Mapping[str, Sequence[str]]
    label: str = "label"
    headerless: Sequence[str] | None = None
    skip_malformed: bool = False
    hub_columns: Mapping[str, str] = field(default_factory=dict)
    hub_splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "dev": "validation", "test": "test"}
    )

    @property
    def required(self) -> dict[str, Sequence[str]]:
        """The splits without which the task cannot be used, with their files."""
        return {split: names for split, names in self.files.items() if split != "test"} or dict(self.files)


def _plain(folder: str) -> dict[str, list[str]]:
    return {split: [f"{folder}/{split}.tsv"] for split in ("train", "dev", "test")}


def _mnli(part: str) -> Layout:
    return Layout(
        hub="mnli",
        columns=PAIR,
        files={
            "train": ["MNLI/train.tsv"],
            "dev": [f"MNLI/dev_{part}.tsv"],
            "test": [f"MNLI/test_{part}.tsv"],
        },
        label="gold_label",
        hub_columns=PREMISE,
        hub_splits={"train": "train", "dev": f"validation_{part}", "test": f"test_{part}"},
    )


LAYOUTS = {
    "ax": Layout(
        hub="ax",
        columns=PAIR,
        files={"test": ["AX/AX.tsv", "AX/test.tsv", "AX.tsv", "diagnostic/diagnostic.tsv"]},
        hub_columns=PREMISE,
        hub_splits={"test": "test"},
    ),
    "cola": Layout(
        hub="cola",
        columns=SINGLE,
        files=_plain("CoLA"),
        headerless=("source", "label", "mark", "sentence"),
    ),
    "mnli_m": _mnli("matched"),
    "mnli_mm": _mnli("mismatched"),
    "mrpc": Layout(
        hub="mrpc",
        columns={"sentence1": "#1 String", "sentence2": "#2 String"},
        files={
            "train": ["MRPC/train.tsv", f"MRPC/{MRPC_TRAIN}"],
            "dev": ["MRPC/dev.tsv", f"MRPC/{MRPC_TRAIN}"],
            "test": ["MRPC/test.tsv", "MRPC/msr_paraphrase_test.txt"],
        },
        label="Quality",
    ),
    "qnli": Layout(
        hub="qnli",
        columns={"question": "question", "sentence": "sentence"},
        files=_plain("QNLI"),
    ),
    "qqp": Layout(
        hub="qqp",
        columns={"question1": "question1", "question2": "question2"},
        files=_plain("QQP"),
        label="is_duplicate",
        skip_malformed=True,
    ),
    "rte": Layout(hub="rte", columns=PAIR, files=_plain("RTE")),
    "sst2": Layout(
        hub="sst2",
        columns=SINGLE,
        files=_plain("SST-2") | {"test": ["SST-2/test.tsv", "SST-2/test_labelled.tsv"]},
    ),
    "stsb": Layout(hub="stsb", columns=PAIR, files=_plain("STS-B"), label="score"),
    "wnli": Layout(hub="wnli", columns=PAIR, files=_plain("WNLI")),
}
"""By the name of the dataset's yaml."""
