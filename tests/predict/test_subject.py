import json
import shutil

import pytest
import torch

from powerbert.base.errors import ConfigError, DataError, ModelError
from powerbert.data.task import Task, packaged_source
from powerbert.predict.subject import Subject
from tests.fixtures import ROWS


def test_takes_the_dataset_that_the_artifact_was_trained_on(subject):
    batches = list(subject.batches("Test"))
    assert [len(batch["input_ids"]) for batch in batches] == [4, 4, 4, 2]
    assert all("labels" not in batch for batch in batches)
    assert subject.longest == 16
    assert batches[0]["attention_mask"].sum(dim=1).max() == 16
    assert subject.title == f"tiny (finetune): folder, {ROWS} inputs of dev"


def test_draws_inputs_at_random_and_keeps_their_order(finetuned):
    def drawn(**settings):
        return Subject(str(finetuned), **settings).sample()["text"][:]

    whole, some = drawn(), drawn(limit=5)
    assert len(some) == 5
    assert some == [text for text in whole if text in some]
    assert some != whole[:5]
    assert drawn(limit=5) == some
    assert drawn(limit=5, seed=1) != some
    assert drawn(limit=99) == whole


def test_another_dataset_and_split(finetuned, dataset, subject):
    given = {**dataset, "name": "other", "evaluation_split": "dev"}
    other = Subject(str(finetuned), dataset=given, split="train")
    assert other.title == "tiny (finetune): other, 3 inputs of train"
    with pytest.raises(DataError, match="dataset 'folder' has no split 'test'; its splits are train, dev"):
        Subject(str(finetuned), split="test").sample()


def test_evaluation_split_auto_is_resolved_by_the_source(finetuned, dataset, tmp_path):
    folder = tmp_path / "glue" / "SST-2"
    folder.mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv", "test_labelled.tsv"):
        (folder / name).write_text("sentence\tlabel\na film\t1\n")
    (folder / "test.tsv").write_text("index\tsentence\n0\ta film\n")
    source = packaged_source("sst2", tmp_path / "cache")
    source |= {"folder": str(folder.parent), "label_names": ["negative", "positive"]}
    given = dataset | {"text_columns": ["sentence"], "evaluation_split": "auto", "source": source}
    assert Subject(str(finetuned), dataset=given).split_name == "test"
    (folder / "test_labelled.tsv").unlink()
    assert Subject(str(finetuned), dataset=given).split_name == "dev"


def test_a_plain_classifier_needs_a_dataset(finetuned, dataset, tmp_path):
    plain = shutil.copytree(finetuned, tmp_path / "plain")
    (plain / "manifest.json").unlink()
    with pytest.raises(ConfigError, match=r"dataset: .*give dataset=<name>"):
        Subject(str(plain)).sample()
    assert Subject(str(plain), dataset=dataset).title == f"plain: folder, {ROWS} inputs of dev"


def test_choices_become_sequences(finetuned, dataset):
    columns, names = ["text", "choices"], ["A", "B", "C"]
    choice = {**dataset, "kind": "multiple_choice", "text_columns": columns, "label_names": names}
    subject = Subject(str(finetuned), batch_size=2)
    subject.task = Task.from_config(choice)
    subject.rows = subject.sample().map(lambda row: {"choices": ["good", "bad film", row["text"]]})
    batch = next(subject.batches("Test"))
    assert batch["input_ids"].shape[0] == 6
    first = subject.predictor.tokenizer(subject.rows[-1]["text"], "good")["input_ids"][:16]
    assert torch.equal(batch["input_ids"][0, :3], torch.tensor(first[:3]))


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "ten"])
def test_refuses_a_limit(finetuned, limit):
    with pytest.raises(ConfigError, match=r"^limit: "):
        Subject(str(finetuned), limit=limit).sample()


@pytest.mark.parametrize("artifact", [None, ["a", "b"]])
def test_needs_one_artifact(artifact):
    with pytest.raises(ConfigError, match=r"^artifact: give the folder of one trained model"):
        _ = Subject(artifact).model


def test_a_missing_folder_is_named(tmp_path):
    for attribute in ("model", "task"):
        with pytest.raises(ModelError, match=r"^artifact: there is no folder .*nowhere"):
            getattr(Subject(str(tmp_path / "nowhere")), attribute)


def test_a_source_that_only_the_manifest_names_is_not_run(finetuned, tmp_path):
    folder, ran = shutil.copytree(finetuned, tmp_path / "model"), tmp_path / "ran"
    manifest = json.loads((folder / "manifest.json").read_text())
    for target in ("pathlib.Path.touch", "powerbert.data.snippets.shutil.rmtree"):
        manifest["config"]["dataset"]["source"] = {"_target_": target, "_args_": [str(ran)]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ConfigError, match=f"names '{target}' as its source.* give the dataset yourself"):
            Subject(str(folder)).sample()
    assert not ran.exists()
