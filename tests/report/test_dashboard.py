"""The comparison as an offline W&B run, read back from the file that `wandb sync` would send."""

import json

import pytest
from rich.console import Console

from powerbert.report.compare import compare
from powerbert.report.dashboard import dashboard
from tests.report.records import study
from tests.wandb_file import read_back


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of an offline run with all points of two data sets, and what was printed."""
    place = tmp_path_factory.mktemp("dashboard")
    console = Console(record=True, width=200, quiet=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETRC", str(place / "netrc"))
        for name in ("WANDB_API_KEY", "WANDB_MODE"):
            patch.delenv(name, raising=False)
        dashboard(study(), place / "out", project="powerbert", console=console)
    (folder,) = place.glob("out/wandb/offline-run-*")
    return folder, console.export_text()


def table(folder, name):
    (file,) = folder.glob(f"files/media/table/{name}_*.table.json")
    content = json.loads(file.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def test_says_where_the_run_is_and_how_to_send_it(written):
    folder, printed = written
    assert f"wandb sync {folder}" in printed


def test_every_point_is_in_the_table(written):
    folder, _ = written
    rows = table(folder, "points")
    expected = [row for one in compare(study()) for row in one.points.to_dict("records")]
    assert len(rows) == len(expected) == 10
    for row, point in zip(rows, expected, strict=True):
        for name in ("dataset", "method", "knob"):
            assert row[name] == point[name]
        for name in ("metric", "dynamic"):
            assert row[name] == pytest.approx(point[name])


def test_summary_curves_charts_figures_and_page_are_there(written):
    folder, _ = written
    (file,) = folder.glob("run-*.wandb")
    summary, history = read_back(file)
    logged = {name.rpartition("/")[0] for name in history}  # of a file: its path, its hash and so on
    assert "page" in logged
    for comparison in compare(study()):
        assert summary[f"{comparison.title}/fine-tuned"] == pytest.approx(comparison.baseline["metric"])
        assert f"{comparison.title}/figure" in logged
        for cost in ("padded", "dynamic", "flops"):
            assert f"{comparison.title}/{cost}_table" in logged
        for method, points in comparison.curves().items():
            assert summary[f"{comparison.title}/{method}/hypervolume_padded"] >= 0
            last = points.loc[points["flops"].idxmax()]  # the series ascends in FLOPs
            for name, series in (("metric", "accuracy"), ("flops", "flops")):
                assert history[f"{comparison.title}/{method}/{series}"] == pytest.approx(last[name])
