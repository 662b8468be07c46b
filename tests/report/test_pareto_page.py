import json
import re
from html.parser import HTMLParser

import pytest

from powerbert.report.compare import compare
from powerbert.report.frame import COSTS
from powerbert.report.pareto_figure import styles
from powerbert.report.pareto_page import write_page
from tests.report.records import point, study

NASTY = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The page's elements, and its text without that of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += f"{data} "

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]


def page(path, records):
    comparisons = compare(records)
    looks = styles(method for one in comparisons for method in one.curves())
    write_page(path / "page.html", comparisons, looks, tolerance=1.0, margin=10.0)
    return Page((path / "page.html").read_text(encoding="utf-8")), comparisons


def test_needs_no_other_file_and_no_network(tmp_path):
    found, _ = page(tmp_path, study())
    assert not found.attributes("src")
    assert all(link.startswith("#") for link in found.attributes("href"))
    assert not {"link", "iframe", "img", "object", "base"} & {tag for tag, _ in found.elements}
    policy = next(attrs["content"] for _, attrs in found.elements if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    style = re.search(
        r"<style>(.*?)</style>", (tmp_path / "page.html").read_text(encoding="utf-8"), re.DOTALL
    )
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_every_point_is_in_three_plots_and_in_the_table(tmp_path):
    found, comparisons = page(tmp_path, study())
    sections = json.loads(found.scripts[0])
    assert len(sections) == len(comparisons) == 2
    for section, comparison in zip(sections, comparisons, strict=True):
        assert len(section["plots"]) == 3
        for plot, cost in zip(section["plots"], COSTS, strict=True):
            *curves, baseline, selected = plot["data"]
            drawn = {
                place: (x, y)
                for trace in curves
                for place, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
            }
            expected = [*zip(comparison.points[cost], 100 * comparison.points["metric"], strict=True)]
            assert [drawn[place] for place in range(len(expected))] == expected
            assert baseline["x"] == [comparison.baseline[cost]]
            assert selected["x"] == []
    places = [int(place) for place in found.attributes("data-point")]
    assert places == [*range(5), *range(5)]


def test_a_point_shows_its_records(tmp_path):
    stages = {"finetune": 2, "search": 1, "retrain": 2}
    further = {"epochs": stages, "trials": 4, "artifacts": {"retrain": "the-artifact"}, "identity": "abc"}
    settings = {"dev": (0.61, 0.68), "split": "test", "learning_rate": 3e-5, "further": further}
    records = [point(seed=seed, value=0.67 + seed / 100, **settings) for seed in (1, 2)]
    found, _ = page(tmp_path, records)
    ((details,),) = [section["points"] for section in json.loads(found.scripts[0])]
    assert details["title"] == "PoWER-BERT, lambda=0.001"
    facts = dict(details["facts"])
    assert facts["seed"] == ["1", "2"]
    assert facts["accuracy, test"] == ["68.00 %", "69.00 %"]
    assert facts["retention configuration"][0].startswith("153, 125")
    for name, value in {
        "accuracy, dev": "61.00 %",
        "fine-tuned model": "68.00 %",
        "epochs": "finetune 2, search 1, retrain 2",
        "trials": "4",
        "settings": "learning_rate 3e-05",
        "padded": "50.0 ms against 200.0 ms per batch of 128 (4.00x faster)",
        "dynamic": "10.0 ms against 18.0 ms per batch of 32 (1.80x faster)",
        "FLOPs per input": "13.2 G of 43.5 G (3.30x fewer)",
        "artifacts": "retrain: the-artifact",
        "environment": "Some CPU, device NVIDIA H100",
        "record": "abc",
    }.items():
        assert facts[name] == [value] * 2, name


def test_the_stages_of_earlier_methods_are_shown(tmp_path):
    student = {"method": "distilbert", "knob": {"encoders": 3}}
    chain = [student | {"artifact": "student", "stage": "retrain", "epochs": 3}]
    found, _ = page(tmp_path, [point(further={"chain": chain})])
    facts = dict(json.loads(found.scripts[0])[0]["points"][0]["facts"])
    assert facts["earlier stages"] == ["distilbert retrain, 3 epochs: student"]


def test_tables_hold_the_numbers(tmp_path):
    found, _ = page(tmp_path, study(["rte"]))
    words = " ".join(found.text.split())
    assert "lambda=0.001 67.80 ± 0.10 -0.30 2.50x ● 80.0 ms 1.58x ●" in words
    assert "PoWER-BERT 0.705 0.465 0.705 2.50x lambda=0.001 1.58x" in words
    assert "greatest speed-up at a loss of at most 1 point" in words
    assert "10 records" in words


def test_the_notes_are_on_the_page(tmp_path):
    found, _ = page(tmp_path, [point(), point(knob=0.5, value=None)])
    assert "Note: 1 record is left out, for metric.value is not defined" in found.text


@pytest.mark.parametrize(
    "nasty", [NASTY, "</script><img src=x onerror=alert(1)>", "<!--<script>", "%{x} <b>bold</b>"]
)
def test_whatever_the_records_hold_is_text(tmp_path, nasty):
    plain, _ = page(tmp_path, [point()])
    names = dict.fromkeys(("model", "method", "metric", "device", "split"), nasty)
    further = {"identity": nasty, "artifacts": {nasty: nasty}}
    found, _ = page(tmp_path, [point(nasty, knob={nasty: nasty}, further=further, **names)])
    count = [tag for tag, _ in found.elements].count
    assert count("script") == 3
    assert count("img") == count("b") - [tag for tag, _ in plain.elements].count("b") == 0
    assert nasty in found.text
    (section,) = json.loads(found.scripts[0])
    assert section["points"][0]["title"] == f"{nasty}, {nasty}={nasty}"
    for plot in section["plots"]:  # plotly reads some markup in its texts
        hover = (
            plot["data"][0]["hovertext"][0].replace("<br>", "").replace("<b>", "", 1).replace("</b>", "", 1)
        )
        assert "<" not in hover
        assert "<" not in plot["layout"]["yaxis"]["title"]["text"]


def test_disturbed_timings_have_a_sign_and_a_legend_entry(tmp_path):
    found, _ = page(tmp_path, [point(disturbed=True)])
    padded, dynamic, flops = (plot["data"][0] for plot in json.loads(found.scripts[0])[0]["plots"])
    assert (padded["text"], dynamic["text"], flops["text"]) == (["‡"], [""], [""])
    assert "disturbed timing" in found.text
    assert "4.00x‡" in found.text
    assert "disturbed timing" not in page(tmp_path, [point()])[0].text
