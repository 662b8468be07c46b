import subprocess
import sys

import pytest

from powerbert.cli import CONFIG_FOLDER, quote_values


def test_config_folder_holds_the_entry_points():
    assert (CONFIG_FOLDER / "train.yaml").is_file()


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("text=It's great, really!", 'text="It\'s great, really!"'),
        ('text=She said "no"', 'text="She said \\"no\\""'),
        ("text='already quoted'", "text='already quoted'"),
        ("lambda=0.1,0.2", "lambda=0.1,0.2"),
        ("text=", "text="),
    ],
)
def test_quotes_free_text_only(argument, quoted):
    assert quote_values({"text"}, [argument]) == [quoted]


def test_hydra_reads_back_any_quoted_text():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = "100% (really?) {yes}: a=b, [c] 'd' \"e\" $f ~ é 😀"
    (argument,) = quote_values({"text"}, [f"text={text}"])
    assert OverridesParser.create().parse_override(argument).value() == text


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "powerbert.train", *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("lambda=-0.1", "lambda: -0.1"),
        ("lambda=nan", "lambda: nan"),
        ("stage=polish", "stage: 'polish'"),
        ("dataset.max_length=1000", "dataset.max_length: 1000"),
        ("elimination.retention_configuration=[8,9,4]", "elimination.retention_configuration"),
        ("elimination.retention_configuration=[9,8]", "elimination.retention_configuration"),
    ],
)
def test_a_bad_value_ends_in_one_message_that_names_it(override, named, tmp_path):
    done = run("model=tiny", f"paths.runs={tmp_path}", override)
    assert done.returncode == 1
    assert f"error: {named}" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "artifacts").exists()


def test_a_failed_point_does_not_stop_the_sweep(tmp_path):
    done = run("-m", "model=tiny", f"paths.runs={tmp_path}", "lambda=-1,-2")
    assert done.returncode == 1
    assert "2 point(s) of the sweep failed" in done.stderr
    assert "lambda: -1 " in done.stderr
    assert "lambda: -2 " in done.stderr
