from powerbert.report.paper_table import notes
from powerbert.report.points import OperatingPoint
from tests.report.records import point

NAMES = {"rte": "RTE", "imdb": "IMDB", "race": "RACE", "mine": "mine"}


def noted(*records) -> str:
    return "\n".join(notes({r["dataset"]: OperatingPoint((r,)) for r in records}, NAMES, "bert_base"))


def test_says_how_the_papers_figures_came_about():
    assert "test split; K80 GPU, batch of 128 (RACE: 64), mean of 100 runs" in noted()


def test_says_that_there_are_no_records():
    assert "there are no records of power_bert on bert_base" in noted()


def test_says_what_holds_for_most_and_names_the_others():
    text = noted(
        point(),
        point("mine", knob=0.003),
        point("imdb", split="test", max_length=512),
    )
    assert (
        "metric on dev (IMDB: test); NVIDIA H100, batch of 128, mean of 100 runs; number of seeds: 1" in text
    )
    assert "knob: lambda=0.001 (mine: lambda=0.003)" in text
    assert "not as in the paper" not in text


def test_names_the_columns_that_cannot_be_compared():
    text = noted(
        point(metric="f1", max_length=128), point("race", max_length=512), point("mine", max_length=8)
    )
    assert "not as in the paper: RTE (metric F1, paper accuracy, length 128, paper 256); " in text
    assert text.endswith("RACE (batch 128, paper 64)")


def test_names_the_processor_and_bears_a_record_without_the_optional_fields():
    record = point(device="cpu")
    assert "Some CPU (CPU)" in noted(record)
    record["environment"] = {}
    del record["metric"]["split"], record["latency"]["padded"]["runs"]
    text = noted(record)
    assert "metric on an unknown split; unknown device, batch of 128, unknown number of runs" in text
