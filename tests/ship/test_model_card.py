import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from powerbert.base.errors import ModelError
from powerbert.models.checkpoint import fingerprint
from powerbert.ship import model_card, write_model_card
from powerbert.store.artifacts import Artifact
from tests.report.records import point
from tests.untrained import dataset_settings, untrained_artifact

RECORDS = sorted((Path(__file__).parents[2] / "experiments").rglob("records/*.json"))
MARKDOWN = MarkdownIt("commonmark").enable("table")
POWER = {"retention_configuration": [9, 4, 1], "selection": "attn", "auto_map": {"AutoConfig": "code.Config"}}
HEAD = POWER | {"selection": "head"}
RAND = POWER | {"selection": "rand", "selection_order": [0, 2, 1]}
KINDS = {
    "reranker": {
        "kind": "reranking",
        "text_columns": ["query", "passage"],
        "label_names": None,
        "metric": "ndcg@10",
    }
}
MANIFEST = {"id": "some-model-0123", "versions": {"powerbert": "0.1.0"}, "git_commit": "c0ffee"}
HOSTILE = "no: 'it'\n---\n# Mine | `code` <script>alert(1)</script> {{ 1 }} **[x](y)**"


@pytest.fixture
def dataset(tmp_path):
    """Settings of a dataset as a record holds them."""

    def settings(name, **changes):
        return dataset_settings(
            "folder" if name == "reranker" else name, tmp_path, **(KINDS.get(name) or changes)
        )

    return settings


def record_of(dataset, model_path=None, **fields):
    """A record of a BERT-base on a dataset of these settings."""
    fields = {"metric": dataset["metric"], "split": dataset["evaluation_split"]} | fields
    config = {"dataset": dataset, "model": {"name": "bert_base", "path": model_path}, "learning_rate": 3e-5}
    return point(dataset["name"], **fields) | {"config": config}


def headings(card):
    tokens = MARKDOWN.parse(ModelCard(card).text)
    return [one.content for before, one in pairwise(tokens) if before.type == "heading_open"]


def cells(card):
    """The rows of the table, by their first cell."""
    rows = [line.strip("|").split("|") for line in card.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in others] for first, *others in rows}


def test_front_matter_and_table_state_the_result(dataset):
    record = record_of(dataset("mnli_mm"), model_path="google-bert/bert-base-uncased")
    card = model_card(record, MANIFEST, POWER)
    front_matter = ModelCard(card).data.to_dict()
    (index,) = front_matter.pop("model-index")
    assert front_matter == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["powerbert", "power-bert", "custom_code"],
        "base_model": "google-bert/bert-base-uncased",
        "datasets": ["nyu-mll/glue"],
        "metrics": ["accuracy"],
    }
    evaluated_on = {"type": "nyu-mll/glue", "config": "mnli", "split": "validation_mismatched"}
    result = {
        "task": {"type": "text-classification"},
        "dataset": {"name": "mnli_mm"} | evaluated_on,
        "metrics": [{"type": "accuracy", "value": 0.67}],
    }
    assert index == {"name": "some-model-0123", "results": [result]}
    table = cells(card)
    assert table["accuracy, dev split"] == ["68.00 %", "67.00 %", "-1.00 points"]
    assert table["FLOPs per input of 256 word pieces"] == ["43.5 G", "13.2 G", "3.30x"]
    assert table["time per batch of 128, padded to 256"] == ["200.0 ms", "50.0 ms", "4.00x"]
    assert table["time per batch of 32, dynamic padding"] == ["18.0 ms", "10.0 ms", "1.80x"]
    for part in ("**9, 4, 1**", "Some CPU", "NVIDIA H100", "lambda=0.001", "seed 1", "learning_rate 3e-05"):
        assert part in card


def test_metrics_that_are_reported_together_have_the_names_of_the_hub(dataset):
    record = record_of(dataset("stsb"), value=0.85)
    record["metric"] |= {"dev": 0.85, "pearson": 0.86}
    results = ModelCard(model_card(record, MANIFEST, POWER)).data.eval_results
    assert {one.metric_type: one.metric_value for one in results} == {"spearmanr": 0.85, "pearsonr": 0.86}


def test_a_folder_is_no_base_model_and_a_metric_that_is_no_number_no_result(dataset, tmp_path):
    for path in (None, str(tmp_path), str(tmp_path / "gone")):
        card = model_card(record_of(dataset("rte"), model_path=path, value=None), MANIFEST, POWER)
        data = ModelCard(card).data
        assert (data.base_model, data.eval_results) == (None, None)
        assert cells(card)["accuracy, dev split"] == ["68.00 %", "n/a", "n/a"]
        assert str(tmp_path) not in card


@pytest.mark.parametrize(
    ("name", "config", "says", "silent"),
    [
        ("sst2", POWER, ["trust_remote_code", "a vector for each word"], ["With transformers alone"]),
        ("sst2", {}, ["With transformers alone"], ["trust_remote_code", "attention matrices", "custom_code"]),
        ("sst2", {"encoder_heads": [3, 1], "auto_map": {}}, ["**3, 1**", "trust_remote_code"], ["Retention"]),
        ("stsb", POWER, ["A regression model", "a number", "not bounded"], ["softmax", "one of"]),
        ("race", POWER, ["a text and 4 choices", "AutoModelForMultipleChoice"], ["softmax", "classify("]),
        (
            "reranker",
            POWER,
            ["A reranker", "CrossEncoder(", "sigmoids", "text-ranking"],
            ["softmax", "pipeline("],
        ),
        ("rte", HEAD, ["Head-WS"], ["most attention"]),
        ("rte", RAND, ["Rand-WS", "more than 3 word pieces are refused"], ["most attention"]),
        ("rte", POWER | {"protected_until": 3}, ["Words of the first text are retained before"], []),
        ("rte", POWER | {"significance_pad_queries": True}, ["how far its batch is padded"], []),
        ("rte", POWER, ["chosen on the same split", "most attention"], ["how far its batch is padded"]),
        ("imdb", POWER, ["test split"], ["chosen on the same split"]),
    ],
)
def test_what_a_card_says_hangs_on_task_and_model(dataset, name, config, says, silent):
    card = model_card(record_of(dataset(name)), MANIFEST, config)
    assert [part for part in says if part not in card] == []
    assert [part for part in silent if part in card] == []


def test_a_chain_is_told_from_its_first_stage_on(dataset):
    fields = ("artifact", "stage", "method", "epochs")
    stages = [("a1", "finetune", "distilbert", 3), ("a2", "retrain", "distilbert", 1)]
    stages += [("a3", "retrain", "power_bert", 2)]
    chain = [dict(zip(fields, stage, strict=True)) | {"knob": {"encoders": 4}} for stage in stages]
    card = model_card(record_of(dataset("rte")) | {"chain": chain}, MANIFEST, POWER)
    assert headings(card)[0] == "DistilBERT (encoders=4) + PoWER-BERT (encoders=4) + PoWER-BERT on `rte`"
    assert "1. `finetune`, 3 epochs: `a1`" in card
    assert "2. `retrain` of `distilbert`, 1 epoch: `a2`" in card
    assert "3. `retrain` of `power_bert`, 2 epochs: `a3`" in card


def test_names_are_text_whatever_they_hold(dataset):
    settings = dataset("sst2", label_names=[HOSTILE, "``", "yes"], text_columns=[HOSTILE])
    record = record_of(settings | {"name": HOSTILE}, model=HOSTILE, device=HOSTILE)
    card = model_card(record, MANIFEST, POWER)
    tame = model_card(record_of(dataset("sst2")), MANIFEST, POWER)
    one_line = " ".join(HOSTILE.split())
    assert ModelCard(card).data.eval_results[0].dataset_name == one_line
    assert ModelCard(card).data.to_dict().keys() == ModelCard(tame).data.to_dict().keys()
    assert headings(card)[1:] == headings(tame)[1:]
    html = MARKDOWN.render(ModelCard(card).text)
    assert "<script" not in html
    assert html.count("<tr>") == MARKDOWN.render(ModelCard(tame).text).count("<tr>")
    escaped = one_line.replace("<", "&lt;").replace(">", "&gt;")
    assert html.count(f"<code>{escaped}</code>") == 5  # the data set twice, the model, the column, the label
    assert "<code>``</code>, <code>yes</code>" in html
    assert escaped in html.partition("Measured on")[2].partition("</p>")[0]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name[-17:-5])
def test_records_of_studies_make_cards(path):
    record = json.loads(path.read_text())
    card = model_card(record, MANIFEST, POWER if record["retention_configuration"] else {})
    assert ModelCard(card).data.eval_results[0].metric_value == record["metric"]["value"]
    assert not re.search(r"None|Undefined|\{\{|\{%", card)


@pytest.mark.parametrize("name", ["sst2", "rte", "stsb", "race", "reranker"])
def test_the_code_of_a_card_runs_and_its_file_disturbs_nothing(
    name, dataset, tiny_checkpoint, tokenizer, tmp_path, capsys
):
    settings = dataset(name)
    folder = untrained_artifact(tmp_path / "artifacts", tiny_checkpoint, tokenizer, settings)
    before = fingerprint(folder)
    card = write_model_card(folder, record_of(settings, max_length=64), Artifact.load(folder).manifest)
    assert card == folder / "README.md"
    blocks = [one for one in MARKDOWN.parse(ModelCard(card.read_text()).text) if one.type == "fence"]
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block.content.replace("path/to/this/folder", str(folder)), "card", "exec"), {})
        assert capsys.readouterr().out
    Artifact.load(folder).verify()
    assert fingerprint(folder) == before


def test_a_card_replaces_an_earlier_one_and_is_not_written_where_there_is_no_model(dataset, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("earlier")
    write_model_card(tmp_path, record_of(dataset("rte")), MANIFEST)
    assert (tmp_path / "README.md").read_text().startswith("---\ndatasets:\n- nyu-mll/glue\n")
    with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
        write_model_card(tmp_path / "empty", record_of(dataset("rte")), MANIFEST)
    assert not (tmp_path / "empty").exists()


def test_a_card_tells_shares_cls_alone_and_operations_under_dynamic_padding(dataset):
    record = record_of(dataset("rte"), method="combined") | {
        "retention_configuration": None,
        "retention_shares": [0.5, 0.25, 0.0],
        "cls_alone": True,
    }
    record["flops"] |= {"dynamic": {"model": 5e9, "baseline": 20e9, "ratio": 4.0}}
    config = {"retention_shares": [0.5, 0.25, 0.0], "cls_alone": True, "selection": "attn"}
    card = model_card(record, MANIFEST, config)
    assert "## Retention shares" in card
    assert "**0.5, 0.25, [CLS]** ([CLS] alone where it says so)" in card
    assert "The last encoder computes the word-vector of [CLS] alone" in card
    assert cells(card)["FLOPs per input, dynamic padding"] == ["20 G", "5 G", "4.00x"]
    assert "a vector for each word" in card
    plain = model_card(record_of(dataset("rte")), MANIFEST, {})
    assert "[CLS] alone" not in plain
    assert "dynamic padding" in plain
    assert "FLOPs per input, dynamic" not in plain
