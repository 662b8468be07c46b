import pytest
from datasets import ClassLabel, Dataset, Value

from powerbert.base.errors import ConfigError, DataError
from powerbert.data.glue import GlueSource
from powerbert.data.task import packaged_source
from tests.data.glue_files import EXPECTED, FILES, mrpc

NLI = ["entailment", "neutral", "contradiction"]
RTE = ["entailment", "not_entailment"]

CLASSES = {task: packaged_source(task)["label_names"] for task in FILES}


@pytest.mark.parametrize("task", EXPECTED)
def test_official_layout(write, tmp_path, cache, task):
    for name, content in FILES[task].items():
        write(name, content)
    source = GlueSource(task, CLASSES[task], cache, folder=tmp_path)
    source.available()
    assert {split: rows[:] for split, rows in source.load().items()} == EXPECTED[task]


@pytest.mark.parametrize(
    ("task", "sizes", "row", "expected"),
    [
        ("rte", (2490, 277, 3000), 0, {"sentence2": "Christopher Reeve had an accident.", "label": 1}),
        ("cola", (8551, 1043, 1063), 4, {"sentence": "As you eat the most, you want the least.", "label": 0}),
        ("sst2", (67349, 872, 1821), 0, {"label": 0}),
    ],
)
def test_real_files(glue_dir, cache, task, sizes, row, expected):
    loaded = GlueSource(task, CLASSES[task], cache, folder=glue_dir).load()
    assert tuple(len(rows) for rows in loaded.values()) == sizes
    assert set(loaded["train"]["label"]) == {0, 1}
    assert loaded["dev"][row].items() >= expected.items()
    assert ("label" in loaded["test"].column_names) == (task == "sst2")  # its test_labelled.tsv


def test_mrpc_as_microsoft_ships_it(write, tmp_path, cache):
    train = mrpc(["1", "11", "12", 'He said "so', "So he said"], ["0", "21", "22", "One", "Two"])
    write("MRPC/msr_paraphrase_train.txt", train.replace("\n", "\r\n"))
    write("MRPC/msr_paraphrase_test.txt", mrpc(["1", "31", "32", "Three", "Four"]))
    ids = write("MRPC/dev_ids.tsv", "21\t22\n")
    source = GlueSource("mrpc", ["not_equivalent", "equivalent"], cache, folder=tmp_path)
    loaded = source.load()
    texts = {split: rows["sentence1"][:] for split, rows in loaded.items()}
    assert texts == {"train": ['He said "so'], "dev": ["One"], "test": ["Three"]}
    assert loaded["test"]["label"][:] == [1]

    before = source.fingerprint()
    ids.write_text("11\t12\n")
    assert source.fingerprint() != before
    assert source.load()["dev"]["sentence1"][:] == ['He said "so']

    ids.unlink()
    with pytest.raises(DataError, match=r"dev_ids\.tsv: there is no such file"):
        source.load()


@pytest.mark.parametrize(
    ("task", "old", "new", "message"),
    [
        ("qnli", "What?", "What\t?", r"QNLI/dev\.tsv, row 1 \(line 2\): has 5 fields instead of 4"),
        # a submission needs a prediction for every row of a test file
        ("qqp", "When?", "How?\tWhy?\n1\tWhen\t?", r"QQP/test\.tsv, row 2 \(line 3\): has 4 fields"),
        ("wnli", "\t1\n", "\t2\n", r"WNLI/train\.tsv, row 1 \(line 2\): column 'label': label '2'"),
    ],
)
def test_bad_row_names_file_and_row(write, tmp_path, cache, task, old, new, message):
    for name, content in FILES[task].items():
        write(name, content.replace(old, new))
    with pytest.raises(DataError, match=message):
        GlueSource(task, CLASSES[task], cache, folder=tmp_path).load()


def test_fingerprint_is_of_the_content_wherever_it_lies(write, tmp_path, cache):
    for folder in ("one", "two"):
        for name, content in FILES["qnli"].items():
            write(f"{folder}/{name}", content)
    one, two = (GlueSource("qnli", RTE, cache, folder=tmp_path / folder) for folder in ("one", "two"))
    assert one.fingerprint() == two.fingerprint()
    write("two/QNLI/dev.tsv", FILES["qnli"]["QNLI/dev.tsv"] + "1\tWhy?\tSo.\tentailment\n")
    assert one.fingerprint() != two.fingerprint()


def test_nothing_to_be_had_is_one_message_with_what_runs_offline(unreachable_hub, cache, tmp_path):
    with pytest.raises(DataError) as caught:
        GlueSource("rte", RTE, cache).available()
    message = str(caught.value)
    for part in ("GLUE_DIR is not set", "nyu-mll/glue/rte", "Name or service not known"):
        assert part in message
    needed = "GLUE_DIR=<folder with RTE/train.tsv and RTE/dev.tsv>"
    for override in (needed, "dataset=snippets", "dataset=folder"):
        assert override in message
    with pytest.raises(DataError, match=r"has no RTE/train\.tsv and RTE/dev\.tsv"):
        GlueSource("rte", RTE, cache, folder=tmp_path).available()


def test_missing_folder_or_half_a_task_is_an_error(write, cache, tmp_path):
    with pytest.raises(DataError, match=r"GLUE_DIR=.*nowhere: there is no such folder"):
        GlueSource("rte", RTE, cache, folder=tmp_path / "nowhere").available()
    write("WNLI/train.tsv", FILES["wnli"]["WNLI/train.tsv"])
    message = r"WNLI/dev\.tsv: there is no such file, though there is WNLI/train\.tsv"
    with pytest.raises(DataError, match=message):
        GlueSource("wnli", CLASSES["wnli"], cache, folder=tmp_path).available()


def test_unknown_task(cache):
    with pytest.raises(ConfigError, match=r"dataset\.source\.task: 'xnli' is unknown"):
        GlueSource("xnli", NLI, cache)


def hub_split(labels, names=NLI):
    rows = Dataset.from_dict({"premise": ["p"], "hypothesis": ["h"], "label": labels, "idx": [0]})
    return rows.cast_column("label", ClassLabel(names=names) if names else Value("float32"))


@pytest.fixture
def hub_mnli(on_hub):
    splits = {"train": [2], "validation_matched": [0], "validation_mismatched": [1]}
    splits |= {"test_matched": [-1], "test_mismatched": [-1]}
    on_hub(**{name: hub_split(labels) for name, labels in splits.items()})


@pytest.mark.parametrize(("task", "dev"), [("mnli_m", 0), ("mnli_mm", 1)])
def test_hub_columns_and_splits_become_ours(hub_mnli, cache, task, dev):
    loaded = GlueSource(task, NLI, cache).load()
    assert {split: rows[:] for split, rows in loaded.items()} == {
        "train": {"sentence1": ["p"], "sentence2": ["h"], "label": [2]},
        "dev": {"sentence1": ["p"], "sentence2": ["h"], "label": [dev]},
        "test": {"sentence1": ["p"], "sentence2": ["h"]},
    }
    assert loaded["train"].features["label"] == Value("int64")


def test_hub_with_its_classes_in_another_order(hub_mnli, cache):
    with pytest.raises(DataError, match="its classes are entailment, neutral, contradiction"):
        GlueSource("mnli_m", NLI[::-1], cache).load()
