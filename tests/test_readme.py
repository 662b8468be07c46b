"""Every command of the README runs, at a reduced size and on files that the test writes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if re.match(r"(\w+=\S+ )*python -m powerbert\.", line)
]
SCALED = [command for command in COMMANDS if "trainer.devices=" in command or "hydra/launcher=" in command]
REDUCED = {
    "powerbert.train": [
        "model=tiny",
        "trainer=debug",
        "trainer.enable_progress_bar=false",
        "measure.runs=1",
        "measure.warmup=0",
        "measure.padded_batch_size=4",
        "measure.dynamic_batches=1",
    ],
    "powerbert.analyse": ["limit=4"],
    "powerbert.export": [
        "limit=4",
        "measure.runs=1",
        "measure.warmup=0",
        "measure.padded_batch_size=4",
        "measure.dynamic_batches=1",
    ],
    "powerbert.benchmark": [
        "batch_size=2",
        "length=16",
        "runs=1",
        "warmup=0",
        "dynamic_batches=1",
        "runtimes=[sdpa]",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working directory with GLUE's RTE, a folder of one's own reviews, a checkpoint and texts."""
    from powerbert.models.tiny import tiny

    folder = tmp_path_factory.mktemp("readme")
    tiny(folder / "bert")
    kinds = ["the film was good as it was\tthe film was good\tentailment"]
    kinds += ["the story is dull\tit is the best\tnot_entailment"]
    rows = [f"{number}\t{kinds[number % 2]}" for number in range(16)]
    rte = folder / "glue" / "RTE"
    rte.mkdir(parents=True)
    for split in ("train", "dev"):
        (rte / f"{split}.tsv").write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *rows]) + "\n")
    unlabelled = [row.rpartition("\t")[0] for row in rows]
    (rte / "test.tsv").write_text("\n".join(["index\tsentence1\tsentence2", *unlabelled]) + "\n")
    (folder / "reviews").mkdir()
    for split in ("train", "dev"):
        reviews = ["a good film,good", '"a dull, bad story",bad'] * 8
        (folder / "reviews" / f"{split}.csv").write_text("\n".join(["review,stars", *reviews]) + "\n")
    (folder / "texts.txt").write_text("a good film\tthe film is good\nthe story was dull\tit is bad\n")
    return folder


def placed(command: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command with its placeholders filled in, and its environment."""

    def artifact(stage: str) -> str:
        """Of the last stage one that PoWER-BERT has made; other methods leave theirs beside it."""
        found = sorted(folder.glob(f"runs/artifacts/rte-*-{stage}-*/config.json"))
        retains = [path for path in found if '"retention_configuration": [' in path.read_text()]
        return str((retains or found)[0].parent)

    command = command.replace("path/to/glue", str(folder / "glue"))
    command = command.replace("path/to/bert-base-uncased", str(folder / "bert"))
    command = command.replace("shape=bert_base retention=paper_rte", "shape=tiny retention=[8,4,2]")
    command = command.replace("path/to/folder", str(folder / "reviews"))
    if "<fine-tuned>" in command:
        command = command.replace("runs/artifacts/<fine-tuned>", artifact("finetune"))
    if "<folder>" in command:
        command = command.replace("runs/artifacts/<folder>", artifact("retrain"))
    if 'text="' in command:
        command = command.replace('text="A joy to watch."', 'text="A joy to watch." text_pair="It is good."')
    words = shlex.split(command)
    environment = os.environ | {
        "GLUE_DIR": str(folder / "glue"),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
    }
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    assert words[:2] == ["python", "-m"]
    module, arguments = words[2], words[3:]
    reduced = [value for value in REDUCED.get(module, []) if value != "limit=4" or "text=" not in command]
    if "+sweep=optuna" in arguments:
        reduced = [*reduced, "hydra.sweeper.n_trials=2"]
    if "+sweep=lambda" in arguments:
        reduced = [*reduced, "lambda=0.01,0.1"]
    if "+sweep=max_loss" in arguments:
        reduced = [*reduced, "max_loss=1.0", "hydra.sweeper.trials=2"]
    if "+experiment=rte_pareto" in arguments:
        reduced = [*reduced, "grid.lambda=[0.01]", "grid.encoders=[2]", "grid.pruned=[0.3]"]
    arguments = [value.replace("ray.remote.num_cpus=2", "ray.remote.num_cpus=1") for value in arguments]
    if "trainer.devices=2" in arguments:
        reduced = [*reduced, "trainer.accelerator=cpu"]
    if "hydra/launcher=submitit_slurm" in arguments:
        arguments = [
            *(value for value in arguments if "launcher" not in value),
            "hydra/launcher=submitit_local",
        ]
    if "method.encoders=4" in arguments:
        reduced = [*reduced, "method.encoders=2"]
    kept = [value for value in arguments if not value.startswith("model=")]
    return [sys.executable, "-m", module, *kept, *reduced], environment


def test_the_readme_has_commands():
    modules = {re.search(r"powerbert\.\w+", command)[0] for command in COMMANDS}
    assert {"powerbert.train", "powerbert.predict", "powerbert.analyse", "powerbert.report"} <= modules


def run(command: str, folder: Path) -> None:
    words, environment = placed(command, folder)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_the_commands_of_the_readme_run_in_their_order(folder):
    for command in COMMANDS:
        if command not in SCALED:
            run(command, folder)
    assert (folder / "labels.jsonl").read_text().count("\n") == 2
    assert (folder / "submission" / "RTE.tsv").is_file()
    assert {path.name for path in folder.iterdir()} <= {
        *("glue", "reviews", "bert", "texts.txt", "runs", "labels.jsonl", "submission")
    }, "nothing is written elsewhere"


@pytest.mark.slow
@pytest.mark.parametrize("command", SCALED)
def test_the_commands_for_several_devices_and_machines_run(folder, command):
    for launcher in ("ray", "submitit"):
        if f"hydra/launcher={launcher}" in command:
            pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    run(command, folder)
