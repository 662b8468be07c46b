"""Every analysis through its configuration, as the command line runs it."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from powerbert.analyse.__main__ import analyse, output_folder
from powerbert.base.cli import CONFIG_FOLDER
from powerbert.base.errors import UserError

ANALYSES = sorted(path.stem for path in (CONFIG_FOLDER / "analysis").glob("*.yaml"))
assert {"cosine", "mutual_information", "trace", "retention"} <= set(ANALYSES)


def composed(*overrides):
    with initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        return compose("analyse", overrides=list(overrides))


@pytest.mark.parametrize("name", ANALYSES)
def test_each_analysis_leaves_a_table_and_a_figure(name, finetuned, retrained, tmp_path):
    artifact = retrained if name in ("trace", "retention") else finetuned
    analyse(composed(f"analysis={name}", f"artifact={artifact}", f"paths.runs={tmp_path}", "limit=4"))
    written = {path.name for path in (tmp_path / "analysis" / artifact.name).iterdir()}
    assert {f"{name}.csv", f"{name}.png", f"{name}.svg"} <= written


def test_a_dataset_of_the_group_takes_the_place_of_the_artifact_s(finetuned, corpus, tmp_path):
    given = f"analysis=cosine artifact={finetuned} dataset=folder dataset.source.path={corpus} split=train"
    places = f"dataset.max_length=8 output={tmp_path}/out paths.runs={tmp_path}"
    analyse(composed(*given.split(), *places.split()))
    assert (tmp_path / "out" / "cosine.csv").read_text().splitlines()[1].endswith(",3")


def test_settings_reach_the_analysis(finetuned, tmp_path):
    settings = "analysis=mutual_information", "analysis.encoders=[2]", "analysis.positions=[3,5]"
    analyse(composed(*settings, f"artifact={finetuned}", f"output={tmp_path}"))
    lines = (tmp_path / "mutual_information.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["2", "3"], ["2", "5"]]


@pytest.mark.parametrize("name", ANALYSES)
def test_without_an_artifact_there_is_one_message(name, tmp_path):
    with pytest.raises(UserError, match=r"^artifact"):
        analyse(composed(f"analysis={name}", f"output={tmp_path}"))


def test_files_of_different_artifacts_do_not_meet():
    assert output_folder(composed("analysis=cosine", "artifact=a/one/")) == Path("runs/analysis/one")
    assert output_folder(composed("analysis=retention", "artifact=[a/one,a/two]")) == Path("runs/analysis")
    assert output_folder(composed("analysis=cosine", "artifact=a", "output=here")) == Path("here")
