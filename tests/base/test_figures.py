import pandas as pd

from powerbert.base.figures import new_figure, number_encoders, save, shades


def test_equal_content_gives_equal_files(tmp_path):
    for name in ("a", "b"):
        with new_figure(3, 2) as figure:
            axes = figure.add_subplot(title="title")
            axes.bar([1, 2], [0.5, 0.25])
            number_encoders(axes, 2)
        save(figure, pd.DataFrame({"encoder": [1, 2], "value": [1 / 3, None]}), tmp_path / name, "figure")
    for suffix in (".png", ".svg", ".csv"):
        first, second = (tmp_path / name / f"figure{suffix}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes(), suffix
    assert (tmp_path / "a" / "figure.csv").read_text() == "encoder,value\n1,0.333333\n2,\n"


def test_shades_differ_and_are_visible_on_white():
    for count in (1, 4, 24):
        colours = shades(count)
        assert len(set(colours)) == count
        assert all(0.2126 * r + 0.7152 * g + 0.0722 * b < 0.8 for r, g, b, _ in colours)


def test_a_dollar_in_a_name_is_a_character(tmp_path):
    with new_figure(2, 2) as figure:
        figure.add_subplot(title=r"costs $5 \frac{ $x")
    save(figure, pd.DataFrame({"a": [1]}), tmp_path, "figure")
    assert "costs $5" in (tmp_path / "figure.svg").read_text()
