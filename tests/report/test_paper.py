import io

import pytest
from rich.console import Console

from powerbert.base.errors import ConfigError
from powerbert.report.paper import COMPARISONS, paper_table
from powerbert.report.paper import printed as paper_figures
from tests.report.records import point, read_table


def printed(records, output=None, *, table="table1", width=120, **settings) -> str:
    console = Console(file=io.StringIO(), width=width)
    paper_table(records, output, table=table, console=console, **settings)
    return console.file.getvalue()


def notes(*records) -> str:
    """The notes beneath Table 1, without breaks."""
    return printed(records, width=10_000).partition("\npaper: ")[2]


def lines(text: str, label: str) -> list[list[str]]:
    """The figures of all rows with that label."""
    return [
        line.strip().removeprefix(label).split()
        for line in text.splitlines()
        if line.strip().startswith(label) and not line.strip().startswith(f"{label}:")
    ]


def test_has_the_papers_layout_and_figures_without_any_record():
    text = printed([])
    header = next(line for line in text.splitlines() if "CoLA" in line)
    assert " ".join(header.split()) == "CoLA RTE QQP MRPC SST-2 MNLI-m MNLI-mm QNLI STS-B IMDB RACE"
    metric, time = lines(text, "PoWER-BERT paper")
    assert " ".join(metric) == "52.3 67.4 70.2 88.1 92.1 83.8 83.1 90.1 85.1 92.5 66.0"
    assert " ".join(time) == "201 1189 405 674 374 725 908 916 448 3419 10110"
    assert lines(text, "BERT ours") == lines(text, "PoWER-BERT ours") == [[], []]
    assert "there are no records of power_bert on bert_base" in text


def test_albert_table():
    text = printed([point("sst2", model="albert_base", max_length=64)], table="table2")
    assert " ".join(lines(text, "ALBERT paper")[0]) == "42.8 65.6 68.3 89.0 93.7 80.9 82.6 82.5 89.2"
    assert lines(text, "ALBERT ours")[0] == ["68.0"]


def test_puts_our_figures_into_the_column_of_their_dataset(tmp_path):
    text = printed([point("rte"), point("cola", value=None, max_length=64)], tmp_path)
    assert lines(text, "BERT ours") == [["68.0", "68.0"], ["200", "200"]]
    assert lines(text, "PoWER-BERT ours") == [["n/a†", "67.0"], ["50.0", "50.0"]]
    rows = read_table(tmp_path / "table1.csv")
    ours = rows["Metric, %", "PoWER-BERT ours"]
    assert float(ours["rte"]) == 67.0
    assert (ours["cola"], ours["qqp"]) == ("", "")
    assert float(rows["Inference, ms", "PoWER-BERT ours"]["rte"]) == 50.0
    assert float(rows["Speedup", "ours"]["rte"]) == 4.0
    assert float(rows["Speedup", "ours, dynamic"]["rte"]) == 1.8
    assert float(rows["Speedup", "paper"]["rte"]) == 3.4
    assert rows["Speedup", "ours"]["qqp"] == ""


def test_shows_the_run_that_the_paper_would_choose_and_the_mean_over_its_seeds():
    text = printed(
        [
            point(knob=0.003, seed=1, value=0.67, model_ms=40),
            point(knob=0.003, seed=2, value=0.69, model_ms=60),
            point(knob=0.001, value=0.69, model_ms=100),
            point(knob=0.01, value=0.5, model_ms=10),
        ]
    )
    assert lines(text, "PoWER-BERT ours") == [["68.0"], ["50.0"]]
    assert "knob: lambda=0.003" in text
    assert "number of seeds: 2" in text
    assert "†" not in text


def test_marks_a_dataset_where_no_run_is_within_the_tolerance_and_shows_the_best():
    records = [point(knob=0.01, value=0.5, model_ms=10), point(value=0.66), point("imdb", max_length=512)]
    text = printed(records)
    assert lines(text, "PoWER-BERT ours")[0] == ["66.0†", "67.0"]
    assert "† no run is within 1 of its baseline" in text
    assert "†" not in printed(records, tolerance=2.0)


@pytest.mark.parametrize(
    "other",
    [point(method="head_prune"), point(model="minilm_l6"), point(elimination={"selection": "rand"})],
    ids=["method", "model", "selection"],
)
def test_other_methods_models_and_selections_are_left_out(other):
    assert lines(printed([other]), "PoWER-BERT ours")[0] == []


def test_appends_datasets_that_the_paper_does_not_have(tmp_path):
    text = printed([point("my[b]set", model="minilm_l6")], tmp_path, model="minilm_l6")
    assert "RACE my[b]set" in text
    assert lines(text, "PoWER-BERT ours")[0] == ["67.0"]
    assert "(minilm_l6)" in text
    assert read_table(tmp_path / "table1.csv")["Metric, %", "PoWER-BERT ours"]["my[b]set"] == "67.0"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_cut_whatever_the_width(width):
    names = [*paper_figures()["table1"]["datasets"], "snippets"]
    text = printed([point(name, model_ms=12345.6, baseline_ms=98765.4) for name in names], width=width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = text.partition("\npaper: ")[0].split()
    for name in ("CoLA", "MNLI-mm", "RACE", "snippets"):
        assert words.count(name) == 1
    assert words.count("12346") == len(names)


def test_the_papers_table_fits_80_columns_in_one_block():
    text = printed([], width=80)
    assert len(lines(text, "BERT ours")) == 2


def test_markdown_has_every_row_cell_and_note(tmp_path):
    text = printed([point(value=0.5)], tmp_path / "new")
    markdown = (tmp_path / "new" / "table1.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in markdown if line.startswith("|")]
    assert len(table) == 2 + 11
    assert {line.count("|") for line in table} == {14}
    assert any(line.startswith("|  | PoWER-BERT ours |  | 50.0† |") for line in table)
    assert [line for line in markdown if line.startswith("- ours: chosen on dev, metric on dev")]
    assert "† no run" in markdown[-1]
    assert "written: " in text


def test_an_unknown_table_is_refused():
    with pytest.raises(ConfigError, match=r"^report\.table: 'table9'"):
        printed([], table="table9")


def test_disturbed_timings_have_a_sign_and_a_footnote():
    text = printed([point(disturbed=True), point("imdb")])
    assert lines(text, "PoWER-BERT ours")[1] == ["50.0‡", "50.0"]
    assert "4.0x‡" in text
    assert "‡ other processes disturbed" in text
    assert "‡" not in printed([point()])


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_papers_figures_agree_with_one_another(name):
    table = paper_figures()[name]
    assert set(table["datasets"]) <= set(paper_figures()["setup"]["datasets"])
    columns = ("datasets", "baseline_metric", "metric", "baseline_ms", "model_ms", "speedup")
    for dataset, before, after, slow, fast, speedup in zip(*map(table.get, columns), strict=True):
        assert speedup == pytest.approx(slow / fast, abs=0.051), dataset
        assert -1.01 <= after - before <= 1.01, dataset  # the paper's bound


def test_says_how_the_papers_figures_were_measured():
    assert notes().startswith("metric on the test split; K80 GPU, batch of 128 (RACE: 64), mean of 100 runs")


def test_notes_say_what_holds_for_most_and_name_the_others():
    text = notes(point(), point("mine", knob=0.003), point("imdb", split="test", max_length=512))
    assert "metric on dev (IMDB: test); NVIDIA H100, batch of 128, mean of 100 runs" in text
    assert "number of seeds: 1" in text
    assert "knob: lambda=0.001 (mine: lambda=0.003)" in text
    assert "not as in the paper" not in text


def test_notes_name_the_columns_that_cannot_be_compared():
    other = point(metric="f1", max_length=128), point("race", max_length=512), point("mine", max_length=8)
    text = notes(*other)
    assert "not as in the paper: RTE (metric F1, paper accuracy, length 128, paper 256); " in text
    assert "RACE (batch 128, paper 64)" in text


def test_notes_name_the_processor_and_bear_a_record_without_the_optional_fields():
    record = point(device="cpu")
    assert "Some CPU (CPU)" in notes(record)
    record["environment"] = {}
    del record["metric"]["split"], record["latency"]["padded"]["runs"]
    assert "metric on evaluation; unknown device, batch of 128, unknown number of runs" in notes(record)
