import io

from rich.console import Console

from powerbert.report.paper import selection_table
from tests.report.records import point, read_table


def run(selection="attn", *, all_inputs=0.9, longer=0.8, word_pieces=16, **fields):
    """The record of one selection; `fields` as for `point`."""
    elimination = {"name": "paper", "selection": selection}
    fields = {"dataset": "sst2", "max_length": 64, "elimination": elimination} | fields
    record = point(**fields)
    record["config"]["method"] = {"name": "power_bert", "elimination": elimination}
    record["metric"]["value"] = all_inputs
    record["baseline"]["value"] = 0.95
    record["longer_than"] = {"word_pieces": word_pieces, "inputs": 321, "value": longer, "baseline": 0.94}
    return record


def printed(records, output=None, **settings) -> str:
    console = Console(file=io.StringIO(), width=100)
    selection_table(records, output, console=console, **settings)
    return console.file.getvalue()


def rows(records, tmp_path, **settings) -> dict[tuple[str, str], dict[str, str]]:
    printed(records, tmp_path, **settings)
    return read_table(tmp_path / "selection_table.csv")


def test_has_the_papers_layout_and_figures_without_any_record():
    lines = [" ".join(line.split()) for line in printed([]).splitlines()]
    assert "Head-WS Rand-WS Attn-WS" in lines
    whole, longer = lines.index("Entire dataset"), lines.index("Input sequence length > 16")
    assert lines[whole + 1] == "paper 85.4 85.7 88.3"
    assert lines[longer + 1] == "paper 83.7 83.4 87.4"
    assert "there are no records of power_bert with longer_than on bert_base" in printed([])


def test_puts_each_selection_into_its_column_and_averages_seeds(tmp_path):
    records = [
        run("head", all_inputs=0.85, longer=0.83),
        run("attn", all_inputs=0.9, longer=0.88, seed=1),
        run("attn", all_inputs=0.8, longer=None, seed=2),
    ]
    table = rows(records, tmp_path)
    assert table["Entire dataset", "ours"] == {"head": "85.0", "rand": "", "attn": "85.0"}
    assert table["Input sequence length > 16", "ours"] == {"head": "83.0", "rand": "", "attn": ""}
    assert table["Entire dataset", "paper"]["rand"] == "85.7"
    text = printed(records)
    assert "n/a" in text, "one seed has no value for the longer inputs"
    note = " ".join(text.partition("ours: ")[2].split())
    for part in ("on the dev split", "321 inputs are longer", "1 Head-WS, 2 Attn-WS", "95.0 on all"):
        assert part in note


def test_never_mixes_runs_that_differ_in_more_than_selection_and_seed(tmp_path):
    other = run("rand")
    other["retention_configuration"] = [9, 8]
    table = rows([run("attn"), other, run("head", word_pieces=32), run("rand", learning_rate=0.1)], tmp_path)
    labels = [label for section, label in table if section == "Entire dataset"]
    assert labels == ["paper", "ours 1", "ours 2", "ours 3", "ours 4"]
    assert table["Input sequence length > 32", "ours 3"]["head"] == "80.0"


def test_other_records_are_left_out():
    plain = run()
    del plain["longer_than"]
    for record in (plain, run(model="minilm_l6"), run(dataset="cola"), run(method="head_prune")):
        assert "there are no records" in printed([record])


def test_dataset_and_model_can_be_chosen():
    text = printed([run(dataset="snippets", model="minilm_l6")], dataset="snippets", model="minilm_l6")
    assert "(minilm_l6 on snippets)" in text
    assert "90.0" in text
