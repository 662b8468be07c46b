import io
import re

import pandas as pd
import pytest
from rich.console import Console

from powerbert.analyse import trace
from powerbert.analyse.trace import Piece, Trace
from powerbert.base.errors import ConfigError
from powerbert.data import Task
from powerbert.predict import Predictor
from powerbert.predict.subject import Subject

TRACE = Trace(
    "input 1",
    "positive (0.88), labelled negative",
    (
        Piece("[CLS]", False, 2),
        Piece("un", False, 0),
        Piece("seen", True, 1),
        Piece("<b>", False, 2),
        Piece("[SEP]", False, 0),
    ),
)


@pytest.fixture
def predictor(retrained):
    return Subject(str(retrained)).predictor


def test_pieces_are_the_words_of_the_text(predictor):
    text = "The  film isn't good"
    pieces = trace.trace_pieces(predictor, (text,))
    words = ["[CLS]", "The", "film", "is", "n", "'", "t", "good", "[SEP]"]
    assert [piece.text for piece in pieces] == words
    assert [piece.text for piece in pieces if piece.joined] == ["n", "'", "t"]


def test_a_piece_survives_as_the_model_says(predictor):
    texts = ("the film was a great story", "but the end is bad")
    pieces = trace.trace_pieces(predictor, texts)
    assert len(pieces) == 16, "truncated as in training"
    encoded = predictor.tokenizer(*texts, truncation=True, max_length=16, return_tensors="pt")
    for encoder, (positions, _) in enumerate(predictor.model.retained_word_vectors(**encoded), start=1):
        left = [position for position, piece in enumerate(pieces) if piece.survives >= encoder]
        assert left == positions[0].tolist()
        assert len(left) == [9, 5, 1][encoder - 1]
    assert pieces[0] == Piece("[CLS]", False, 3)


def test_verdict():
    assert trace.verdict({"label": "good", "score": 0.875}, "bad") == "good (0.88), labelled bad"
    assert trace.verdict({"value": 3.14159}, "2.50") == "3.14, labelled 2.50"
    assert trace.verdict({"value": 3.14159}, None) == "3.14"


def test_choices_are_sequences_of_their_own(predictor, monkeypatch):
    race = Task("race", ("article", "choices"), ("A", "B"), "accuracy", 16, kind="multiple_choice")
    labelled = lambda _, rows: [{"label": "A", "score": 0.5}] * len(rows)  # noqa: E731
    monkeypatch.setattr(predictor, "task", race)
    monkeypatch.setattr(Predictor, "__call__", labelled)
    rows = [("a film", ["good", "bad"]), ("the end", ["best", "worst"])]
    traces = trace.trace_inputs(predictor, rows, [None, "B"])
    headings = ["input 1 choice A", "input 1 choice B", "input 2 choice A", "input 2 choice B"]
    assert [one.heading for one in traces] == headings
    assert [one.verdict for one in traces] == ["A (0.50)"] * 2 + ["A (0.50), labelled B"] * 2
    assert "worst" in [piece.text for piece in traces[3].pieces]
    (one, _) = trace.trace_inputs(predictor, rows[:1], [None])
    assert one.heading == "choice A"


def test_eliminated_words_are_dots_where_piped_and_dim_on_a_terminal():
    assert trace.words_at(TRACE, 0, dots=True).plain == "[CLS] unseen <b> [SEP]"
    assert trace.words_at(TRACE, 1, dots=True).plain == "[CLS] ··seen <b> ·····"
    assert trace.words_at(TRACE, 2, dots=True).plain == "[CLS] ······ <b> ·····"
    dimmed = trace.words_at(TRACE, 2, dots=False)
    assert dimmed.plain == "[CLS] unseen <b> [SEP]"
    assert [(dimmed.plain[span.start : span.end], span.style) for span in dimmed.spans] == [
        ("un", "dim"),
        ("seen", "dim strike"),
        ("[SEP]", "dim"),
    ]


def test_prints_every_encoder():
    console = Console(file=io.StringIO(), width=60)
    trace.print_traces([TRACE], 2, "retention configuration (3, 2)", console)
    text = console.file.getvalue()
    assert "retention configuration (3, 2)" in text
    assert "input 1: positive (0.88), labelled negative" in text
    counts = [re.match(r" *(\d?) +(\d) +\[CLS\]", line) for line in text.splitlines()]
    assert [match.groups() for match in counts if match] == [("", "5"), ("1", "3"), ("2", "2")]
    assert "\x1b" not in text


def test_page_shows_text_as_text_and_needs_nothing_else(tmp_path):
    hostile = Trace("", "<i>&, labelled <u>", (Piece("<script>alert(1)</script>", False, 1),))
    trace.write_page(tmp_path / "trace.html", "<model>", 2, [hostile, TRACE])
    page = (tmp_path / "trace.html").read_text(encoding="utf-8")
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert not re.search(r"<(script|i|u|b|model|link|img)\b", page)
    assert "http" not in page
    assert '<s class="now">un</s><span>seen</span> <span>&lt;b&gt;</span> <s class="now">[SEP]</s>' in page
    assert '<s>un</s><s class="now">seen</s> <span>&lt;b&gt;</span> <s>[SEP]</s>' in page


def test_traces_a_given_text(retrained, tmp_path, capsys):
    table = trace.run(Subject(str(retrained)), tmp_path, text="a $great$ film <b>")
    assert {path.suffix for path in tmp_path.glob("trace.*")} == {".html", ".csv", ".png", ".svg"}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "trace.csv"), table, check_dtype=False)
    assert "".join(table["piece"]) == "[CLS]a$great$film<b>[SEP]"
    assert table["survives"][0] == 3
    printed = capsys.readouterr().out
    assert "retention configuration (9, 5, 1)" in printed
    assert re.search(r"^(negative|positive) \(0\.\d\d\)$", printed, re.MULTILINE)


def test_traces_some_inputs_of_the_dataset(retrained, tmp_path, capsys):
    table = trace.run(Subject(str(retrained)), tmp_path, inputs=2)
    assert table["sequence"].unique().tolist() == [1, 2]
    printed = capsys.readouterr().out
    titles = re.findall(r"^input (\d): .*, labelled (?:negative|positive)$", printed, re.MULTILINE)
    assert titles == ["1", "2"]


def test_refuses_a_number_of_inputs_and_a_model_that_eliminates_nothing(
    subject, retrained, make_artifact, tmp_path
):
    for inputs in (0, 1.5, "all"):
        with pytest.raises(ConfigError, match=r"^analysis\.inputs: "):
            trace.run(Subject(str(retrained)), tmp_path, inputs=inputs)
    for one in (subject, Subject(str(make_artifact(soft_extract_length=16)))):
        with pytest.raises(ConfigError, match=r"^artifact: .*has no retention configuration"):
            trace.run(one, tmp_path, text="good")
