"""Files in the shapes that users have come out right, or with one message that says what to do."""

import io
import json
import random
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import find_user_error
from powerbert.data.__main__ import describe
from tests.forked import door

SIZES = {"train": 24, "dev": 12}
"""Rows of the splits; any other file has as many as train."""

Table = Callable[[Sequence[tuple[str, str]]], str | bytes]


def rows(split: str, labels: Sequence[str] = ("neg", "pos")) -> list[tuple[str, str]]:
    """Texts that no two splits share, and their labels in turn."""
    draw = random.Random(split)
    words = ["the", "film", "was", "a", "good", "dull", "great", "story", "bad"]
    return [
        (f"{' '.join(draw.choices(words, k=5))} {split} {number}", labels[number % len(labels)])
        for number in range(SIZES.get(split, 24))
    ]


def lines(
    separator: str = ",", header: str | None = "text,label", form: str = "{text}{separator}{label}"
) -> Table:
    def table(pairs):
        head = [] if header is None else [header.replace(",", separator)]
        body = [form.format(text=text, separator=separator, label=label) for text, label in pairs]
        return "\n".join([*head, *body]) + "\n"

    return table


def frame(write: str, **settings) -> Table:
    """A file of pandas' `DataFrame.to_<write>`."""

    def table(pairs):
        target = io.BytesIO()
        getattr(pd.DataFrame(pairs, columns=["text", "label"]), f"to_{write}")(target, **settings)
        return target.getvalue()

    return table


def encoded(table: Table, encoding: str) -> Table:
    return lambda pairs: table(pairs).encode(encoding)


def files(
    name: str, table: Table, labels: Sequence[str] = ("neg", "pos"), splits: Sequence[str] = ("train", "dev")
) -> dict[str, str | bytes]:
    return {name.format(split): table(rows(split, labels)) for split in splits}


@dataclass
class Case:
    """Files, the settings that they need, and what must be printed.

    Attributes:
        printed: regular expressions; a message that begins with `error: ` means that the command must fail.
    """

    files: Mapping[str, str | bytes]
    settings: str
    printed: Sequence[str]
    path: str = "data"

    @property
    def overrides(self) -> list[str]:
        return [
            "dataset=folder",
            *shlex.split(self.settings),
            f"dataset.source.path={self.path}",
            "model=tiny",
        ]

    @property
    def fails(self) -> bool:
        return self.printed[0].startswith("error: ")


NAMED = "dataset.label_names=[neg,pos]"
AUTO = "dataset.label_names=auto"
SPLIT = f"{NAMED} dataset.split=[0.5,0.25,0.25]"
SKIP = "dataset.on_bad_row=skip"
COUNTS = r"rows: train 24, dev 12\n(.*\n)*.*classes of train: neg 12, pos 12"
BARE = lines(header=None, form="{label}{separator}{text}")
RAGGED = lines(header="v1,v2,,,", form='{label},"{text}, really",,,')
JOINED = {"orient": "records"}


def broken(file: str, old: str, new: str, found: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    content = found[file]
    assert isinstance(content, str)
    assert old in content
    return {**found, file: content.replace(old, new, 1)}


CSV = files("{}.csv", lines())
JSONL = files("{}.jsonl", frame("json", orient="records", lines=True))
JSONL = {name: content.decode() for name, content in JSONL.items()}
PAIRS = {
    f"{split}.jsonl": "\n".join(
        json.dumps({"a": text, "b": text if label == "pos" else None, "label": label})
        for text, label in rows(split)
    )
    for split in SIZES
}
CASES = {
    "semicolon": Case(files("{}.csv", lines(";")), NAMED, ["fields end at a semicolon", COUNTS]),
    "tab in csv": Case(
        files("{}.csv", lines("\t")), NAMED, ["train.csv, dev.csv: fields end at a tab", COUNTS]
    ),
    "bar in txt": Case(files("{}.txt", lines("|")), NAMED, ["fields end at a vertical bar", COUNTS]),
    "comma in tsv": Case(
        files("{}.tsv", frame("csv", index=False)), NAMED, ["fields end at a comma", COUNTS]
    ),
    "given delimiter": Case(
        files("{}.csv", lines("~")), f"{NAMED} 'dataset.source.delimiter=\"~\"'", [COUNTS]
    ),
    "utf-16": Case(files("{}.csv", encoded(lines(), "utf-16")), NAMED, [COUNTS]),
    "utf-32": Case(
        files("{}.jsonl", encoded(lambda pairs: JSONL["dev.jsonl"], "utf-32")), NAMED, ["train 12, dev 12"]
    ),
    "utf-8 with a mark": Case(files("{}.tsv", encoded(lines("\t"), "utf-8-sig")), NAMED, [COUNTS]),
    "latin-1": Case(
        files("{}.csv", encoded(lines(form="{text} café,{label}"), "latin-1")),
        f"{NAMED} dataset.source.encoding=latin-1",
        [COUNTS],
    ),
    "latin-1 that is not named": Case(
        files("{}.csv", encoded(lines(form="{text} café,{label}"), "latin-1")),
        NAMED,
        [r"error: .*train\.csv, line 2: byte 0xe9 is not UTF-8; .*dataset\.source\.encoding=cp1252"],
    ),
    "blanks": Case(files("{}.csv", lines(header="text, label", form="{text}, {label}")), NAMED, [COUNTS]),
    "blanks before quotes": Case(
        files("{}.csv", lines(header='"text", "label"', form='"{text}, really", "{label}"')), NAMED, [COUNTS]
    ),
    "no header": Case(
        files("{}.csv", BARE, "12"),
        f"{AUTO} dataset.source.header=[label,text]",
        ["classes of train: 1 12, 2 12"],
    ),
    "no header that is not named": Case(
        files("{}.csv", BARE, "12"),
        AUTO,
        [r"error: .*train\.csv: .*'dataset\.source\.header=\[label,text\]'"],
    ),
    "floats": Case(files("{}.csv", lines(), ["0.0", "1.0"]), AUTO, ["classes of train: 0 12, 1 12"]),
    "floats of named classes": Case(files("{}.csv", lines(), ["0.0", "1.0"]), NAMED, [COUNTS]),
    "from one": Case(files("{}.csv", lines(), ["10", "9"]), AUTO, ["classes of train: 9 12, 10 12"]),
    "truth values": Case(files("{}.csv", lines(), ["True", "False"]), AUTO, ["train: False 12, True 12"]),
    "truth values of named classes": Case(files("{}.csv", lines(), ["True", "False"]), NAMED, [COUNTS]),
    "case": Case(
        files("{}.csv", lines(), ["neg", "Pos", "Neg", "pos"]),
        AUTO,
        [r"labels that differ only by case are one class: Pos \(6\), pos \(6\)", COUNTS],
    ),
    "norway": Case(
        files("{}.csv", lines(), ["no", "yes", "null", "1e3"]), AUTO, ["train: 1e3 6, no 6, null 6, yes 6"]
    ),
    "unknown label in dev": Case(
        CSV | {"dev.csv": lines()(rows("dev", ["neg", "maybe"]))},
        AUTO,
        [r"error: .*dev\.csv, row 2 \(line 3\): .*'maybe' is not among the classes \(neg, pos\)"],
    ),
    "one class": Case(files("{}.csv", lines(), ["neg"]), AUTO, ["error: .*no two classes, only neg"]),
    "no label": Case(
        CSV | {"train.csv": CSV["train.csv"] + "a row,\n"},
        NAMED,
        [r"error: .*train\.csv, row 25 \(line 26\): .*label is missing"],
    ),
    "no label, skipped": Case(
        CSV | {"train.csv": CSV["train.csv"] + "a row,\n"},
        f"{AUTO} {SKIP}",
        [r"train: skipped 1 malformed row; the first: .*row 25 \(line 26\)", COUNTS],
    ),
    "null text": Case(
        JSONL | {"train.jsonl": JSONL["train.jsonl"] + '{"text": null, "label": "pos"}\n'},
        NAMED,
        [r"error: .*train\.jsonl, row 25 \(line 25\): column 'text' is null"],
    ),
    "null text, skipped": Case(
        JSONL | {"train.jsonl": JSONL["train.jsonl"] + '{"text": null, "label": "pos"}\n{"text": 1}\n{"t\n'},
        f"{NAMED} {SKIP}",
        [r"train: skipped 3 malformed rows; the first: .*row 25 \(line 25\)", COUNTS],
    ),
    "second text null": Case(
        PAIRS,
        f"{NAMED} dataset.text_columns=[a,b]",
        [COUNTS, "empty texts: 12 in 'b' of train, 6 in 'b' of dev"],
    ),
    "second text not there": Case(
        {name: content.replace(', "b": null', "") for name, content in PAIRS.items()},
        f"{NAMED} dataset.text_columns=[a,b]",
        [COUNTS],
    ),
    "second text never there": Case(
        PAIRS, f"{NAMED} dataset.text_columns=[a,c]", [r"error: .*train\.jsonl: no row has the column 'c'"]
    ),
    "array": Case(files("{}.json", frame("json", orient="records")), NAMED, [COUNTS]),
    "indented array": Case(files("{}.json", frame("json", orient="records", indent=1)), NAMED, [COUNTS]),
    "file": Case(
        files("{}.csv", lines(), splits=["spam"]), SPLIT, ["rows: train 12, dev 6, test 6"], "data/spam.csv"
    ),
    "only file": Case(files("{}.csv", lines(), splits=["spam"]), SPLIT, ["rows: train 12, dev 6, test 6"]),
    "only file, not divided": Case(
        files("{}.csv", lines(), splits=["spam"]), NAMED, [r"error: .*dataset\.split=.* divides spam\.csv"]
    ),
    "only train": Case(files("{}.csv", lines(), splits=["train"]), SPLIT, ["rows: train 12, dev 6, test 6"]),
    "only train, not divided": Case(
        files("{}.csv", lines(), splits=["train"]), NAMED, [r"error: .*no file for dev.*dataset\.split="]
    ),
    "train and test": Case(
        files("{}.csv", lines(), splits=["train", "test"]), SPLIT, ["rows: train 16, dev 8, test 24"]
    ),
    "train and dev, divided": Case(CSV, SPLIT, [r"error: dataset\.split: "]),
    "names": Case(files("{}.CSV", lines(), splits=["Train", "Dev"]), NAMED, ["rows: train 24, dev 24"]),
    "shards": Case(
        {
            f"{split}-{number:05}-of-00002.parquet": frame("parquet")(rows(split)[number::2])
            for split in SIZES
            for number in (1, 0)
        },
        NAMED,
        [COUNTS],
    ),
    "shards of which one is missing": Case(
        CSV | {"train-00000-of-00002.csv": ""}, NAMED, [r"error: .*1 of its 2 shards are missing"]
    ),
    "three texts": Case(
        files("{}.csv", lines(header="a,b,c,label", form="{text},one,two,{label}")),
        f"{NAMED} dataset.text_columns=[a,b,c]",
        [COUNTS],
    ),
    "quotes of pandas": Case(
        files(
            "{}.tsv",
            lambda pairs: frame("csv", sep="\t", index=False)(
                [(f'"{text}"', label) for text, label in pairs]
            ),
        ),
        NAMED,
        ["fields stand in quotes", COUNTS],
    ),
    "ragged": Case(
        broken("train.csv", 'really",,,', 'really",,', files("{}.csv", RAGGED)),
        f"{AUTO} {SKIP} dataset.text_columns=[v2] dataset.source.label_column=v1",
        [
            r"skipped 1 malformed row; the first: .*row 1 \(line 2\): has 4 fields instead of 5",
            "train 23, dev 12",
        ],
    ),
    "imbalanced": Case(
        files("{}.csv", lines(), ["neg"] * 23 + ["pos"]) | {"dev.csv": CSV["dev.csv"]},
        NAMED,
        ["'pos' is 4.17%.*dataset.metric=f1 and class_weights=balanced"],
    ),
    "a class without rows": Case(
        CSV, "dataset.label_names=[neg,pos,neutral]", ["never occurs in train.*'neutral'"]
    ),
    "repeated": Case(
        {"train.csv": CSV["train.csv"], "dev.csv": CSV["train.csv"]},
        NAMED,
        ["inputs of train are also in other splits: 24 of 24 of dev"],
    ),
}


@pytest.fixture
def written(request, tmp_path, monkeypatch) -> Case:
    """A case by its name, with its files in the working directory."""
    case = CASES[request.param]
    monkeypatch.chdir(tmp_path)
    for name, content in case.files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return case


@pytest.mark.parametrize("written", CASES, indirect=True)
def test_a_users_files_are_described_or_one_message_says_what_to_do(written, caplog):
    caplog.set_level("INFO")
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        cfg = compose("data", overrides=written.overrides)
    try:
        describe(cfg)
        printed = caplog.text
    except Exception as error:
        printed = f"error: {find_user_error(error) or repr(error)}"
        assert "\n" not in printed
    assert printed.startswith("error: ") == written.fails, printed
    for expected in written.printed:
        assert re.search(expected, printed), printed


def test_a_training_says_it_before_it_begins_and_keeps_the_classes(tmp_path, monkeypatch):
    for name, content in files("{}.csv", lines(";"), ["1.0", "0.0"], ["train", "test"]).items():
        (tmp_path / name).write_text(content)
    data = [
        "dataset=folder",
        "dataset.source.path=.",
        AUTO,
        "dataset.split=[0.7,0.3]",
        "dataset.evaluation_split=test",
    ]
    small = ["model=tiny", "trainer=debug", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
    command = door(tmp_path, "powerbert.train", *data, *small, "stage=finetune")
    assert command.wait() == 0, command.stderr
    told = command.stdout
    assert told.index("classes of train: 0 ") < told.index("max_length 64 truncates")
    (folder,) = (path.parent for path in tmp_path.glob("runs/artifacts/*/manifest.json"))
    assert json.loads((folder / "config.json").read_text())["id2label"] == {"0": "0", "1": "1"}
    dataset = json.loads((folder / "manifest.json").read_text())["config"]["dataset"]
    assert dataset["label_names"] == dataset["source"]["label_names"] == ["0", "1"]
    (tmp_path / "new.csv").write_text("id;text\n1;a good film\n")
    command = door(tmp_path, "powerbert.predict", f"artifact={folder}", "input=new.csv")
    assert command.wait() == 0, command.stderr
    assert json.loads(command.stdout)["label"] in ("0", "1")
