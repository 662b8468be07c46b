from powerbert.benchmark.figure import draw, tabulate
from tests.benchmark.test_targets import POWER

ROWS = [
    POWER | {"retention": retention, "length": length, "protocol": protocol, "batch_size": size, "role": role}
    for retention, length in (("paper_cola", 64), ("paper_rte", 256))
    for size in (8, 32)
    for protocol in ("padded", "dynamic")
    for role in ("host", "power")
]


def test_a_panel_for_each_protocol_and_length():
    figure = draw(tabulate(ROWS), "title")
    titles = [axes.get_title(loc="left").split("\n") for axes in figure.axes]
    assert titles == [
        ["paper_cola, length 64", "padded"],
        ["paper_rte, length 256", "padded"],
        ["paper_cola, length 64", "dynamic padding"],
        ["paper_rte, length 256", "dynamic padding"],
    ]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["8", "32"]


def test_a_panel_shows_the_speedups_and_their_quartiles():
    rows = [POWER | {"speedup": 2.5, "speedup_lower": 2.0, "speedup_upper": 4.0}]
    (axes,) = draw(tabulate(rows), "title").axes
    (container,) = axes.containers
    line, _, (bars,) = container
    assert line.get_ydata().tolist() == [2.5]
    assert bars.get_segments()[0][:, 1].tolist() == [2.0, 4.0]
    (flops,) = [line for line in axes.collections if line is not bars]
    assert flops.get_segments()[0][:, 1].tolist() == [3.3, 3.3]


def test_a_long_title_stays_within_the_figure():
    figure = draw(
        tabulate(ROWS), "snippets-minilm_l6-retrain-35b0ab33fd12b281: wall-clock speed-up on " + "A CPU " * 9
    )
    figure.canvas.draw()
    title = figure.texts[0].get_window_extent()
    assert title.x1 <= figure.bbox.x1
    assert title.y0 > max(axes.title.get_window_extent().y1 for axes in figure.axes)


def test_no_point_lies_beyond_an_axis():
    speedups = {64: 2.0, 512: 20.0}
    rows = [
        POWER
        | {"length": length, "speedup": speedup, "speedup_lower": speedup, "speedup_upper": 1.1 * speedup}
        for length, speedup in speedups.items()
    ]
    for axes in draw(tabulate(rows), "title").axes:
        lowest, highest = axes.get_ylim()
        assert lowest == 0
        assert highest > 22
