import numpy as np
import pytest
from matplotlib.colors import to_hex

from powerbert.report.compare import compare
from powerbert.report.frame import COSTS
from powerbert.report.pareto_figure import caption, draw, save, styles
from tests.report.records import point, study

PACKAGED = [
    "PoWER-BERT",
    "Combined",
    "Elastic",
    "LTP",
    "DistilBERT",
    "BERT-PKD",
    "Head-Prune",
    "More training",
    "Fine-tuned",
]


def drawn(records):
    comparison = compare(records)[0]
    return comparison, draw(comparison, styles(comparison.points["method"]))


def markers(axes, colour, filled):
    """The coordinates of the markers of that colour."""
    found = [
        (x, y)
        for line in axes.lines
        if to_hex(line.get_color()) == colour.lower() and line.get_marker() != "None"
        if (to_hex(line.get_markerfacecolor()) == colour.lower()) is filled
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    return sorted(found)


def test_every_point_is_in_every_panel_filled_if_it_is_on_the_front():
    comparison, figure = drawn(study(["rte"]))
    for axes, cost in zip(figure.axes, COSTS, strict=True):
        for method, points in comparison.curves().items():
            for filled in (True, False):
                shown = points[points[f"{cost}_front"] == filled]
                expected = sorted(zip(shown[cost], 100 * shown["metric"], strict=True))
                np.testing.assert_allclose(markers(axes, styles([])[method].colour, filled), expected)
    assert not comparison.points["padded_front"].all()


def test_the_fine_tuned_model_is_a_cross_on_a_dotted_line():
    comparison, figure = drawn(study(["rte"]))
    level = 100 * comparison.baseline["metric"]
    for axes, cost in zip(figure.axes, COSTS, strict=True):
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        assert [(*line.get_xdata(), *line.get_ydata()) for line in crosses] == [
            (comparison.baseline[cost], level)
        ]
        assert any(line.get_linestyle() == ":" and set(line.get_ydata()) == {level} for line in axes.lines)


def test_axes_and_legend_name_what_they_show():
    comparison, figure = drawn(study(["rte"]))
    assert [axes.get_xlabel() for axes in figure.axes] == [comparison.axis(cost) for cost in COSTS]
    assert figure.axes[0].get_ylabel() == "accuracy, %"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == sorted(["fine-tuned model", *comparison.curves()])
    assert figure.get_suptitle() == "rte, bert_base"


def test_the_legend_covers_no_panel_however_many_methods_there_are():
    records = [point(method=f"a method with a rather long name {k}", knob={"k": k}) for k in range(9)]
    _, figure = drawn([*study(["rte"]), *records])
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    assert all(legend.y1 <= axes.get_tightbbox().y0 for axes in figure.axes)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([1], "H100; 1 seed."), ([1, 2], "mean over 2 seeds, error bars: standard error.")],
)
def test_the_caption_states_the_number_of_seeds(seeds, words):
    assert words in caption(compare(study(["rte"], seeds))[0])


def test_equal_points_give_equal_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths = save(drawn(study(["rte"]))[1], tmp_path / name / "pareto-v1.5")
        assert [path.name for path in paths] == ["pareto-v1.5.png", "pareto-v1.5.svg"]
    for path in paths:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_a_ring_is_around_a_point_whose_timing_was_disturbed():
    def rings(axes):
        return [x for line in axes.lines if line.get_markerfacecolor() == "none" for x in line.get_xdata()]

    comparison, figure = drawn([point(), point(knob=0.5, disturbed=True, model_ms=20)])
    padded, *others = figure.axes
    assert rings(padded) == [comparison.points["padded"][1]]
    assert all(not rings(axes) for axes in others)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("disturbed" in word for word in words)
    _, figure = drawn([point()])
    assert not any("disturbed" in text.get_text() for text in figure.legends[0].get_texts())


def test_names_are_text_not_formulas(tmp_path):
    _, figure = drawn([point("$\\broken$", model="a_$b", method="$\\frac$")])
    save(figure, tmp_path / "figure")


def test_looks_are_fixed_and_distinct():
    looks = styles(["Zeta", "Alpha", *PACKAGED])
    assert styles(["PoWER-BERT"])["PoWER-BERT"] == looks["PoWER-BERT"]
    assert styles(["Alpha", "Zeta"]) == styles(["Zeta", "Alpha", "Alpha"])
    assert {"Alpha", "Zeta", *PACKAGED} == set(looks)
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    assert [name for name, look in looks.items() if look.dashed] == ["Alpha", "Zeta"]
    some = styles(map(str, range(12)))
    assert len({(look.colour, look.marker) for look in some.values()}) == len(some)
    assert set(map(str, range(40))) <= set(styles(map(str, range(40))))


def test_with_cls_alone_a_method_looks_the_same_but_dashed_beside_itself():
    looks = styles(["PoWER-BERT", "PoWER-BERT, [CLS] alone", "Fine-tuned, [CLS] alone"])
    assert looks["PoWER-BERT, [CLS] alone"] == looks["PoWER-BERT"]._replace(dashed=True)
    assert looks["Fine-tuned, [CLS] alone"] == looks["Fine-tuned"]
