"""Every command and Python snippet of README.md and docs/ runs, reduced, on files that the test writes."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from tests.forked import door
from tests.made_up import write_labels, write_queries
from tests.run.test_settings import composed

ROOT = Path(__file__).parents[1]
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
KEY_PAGES = ("commands", "data")


def blocks(language: str, pages: Iterable[str] = PAGES.values()) -> list[str]:
    """The code blocks of a language on all pages, README first."""
    return [block for page in pages for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


def commands(*pages: str) -> list[str]:
    """The commands of this package in the pages' blocks, each once."""
    lines = "\n".join(blocks("bash", pages)).replace("\\\n", " ").splitlines()
    found = [line for line in lines if re.match(r"(\w+=\S+ )*python -m powerbert\.", line)]
    return list(dict.fromkeys(re.sub(r"\s+", " ", line) for line in found))


COMMANDS = commands(*PAGES.values())
STUDIES = commands(
    *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("experiments/*/README.md")))
)
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
    "powerbert.data": ["model=tiny"],
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
    """A working directory with GLUE's RTE, a user's reviews and news, checkpoints and texts."""
    from powerbert.models import load_host_model, load_tokenizer
    from powerbert.models.tiny import tiny

    folder = tmp_path_factory.mktemp("readme")
    tiny(folder / "bert")
    classes = {0: "bad", 1: "good"}
    load_host_model(folder / "bert", id2label=classes).save_pretrained(folder / "classifier")
    load_tokenizer(folder / "bert").save_pretrained(folder / "classifier")
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
        reviews = [f'a good film {n},good\n"{n}, a dull, bad story",bad' for n in range(8)]
        (folder / "reviews" / f"{split}.csv").write_text("\n".join(["review,stars", *reviews]) + "\n")
    (folder / "queries").mkdir()
    write_queries(folder / "queries")
    write_labels(folder / "comments")
    (folder / "passages.txt").write_text("the film was great\nthe road is long\n")
    (folder / "news").mkdir()
    news = ["a great film,World", "a funny story,Sports", "the best,Business", "a dull movie,Sci/Tech"] * 8
    for split in ("train", "validation"):
        (folder / "news" / f"{split}.csv").write_text("\n".join(["text,label", *news]) + "\n")
    (folder / "texts.txt").write_text("a good film\tthe film is good\nthe story was dull\tit is bad\n")
    return folder


SUB_MODELS = "method.epochs=1 method.fewest_encoders=2 method.evaluations=8 method.cost=operations"
SMALLER = {
    "target_speedup=3": "target_speedup=1.2 " + SUB_MODELS,
    "target_speedup=2": "target_speedup=1.2 elimination.cost=operations",
    "method=elastic method.speed=1.5,2,3,4": "method=elastic method.speed=1 method.speeds=[1] " + SUB_MODELS,
    " speed=3 ": " speed=1 ",
}
"""What is asked of a tiny model instead, whose speed is not that of a large one."""


def artifact(folder: Path, stage: str, field: str = "retention_configuration") -> str:
    """Return an RTE artifact of the stage, of several one that has a field: by default PoWER-BERT's."""
    found = sorted(folder.glob(f"runs/artifacts/rte-*-{stage}-*/config.json"))
    retains = [path for path in found if f'"{field}": [' in path.read_text()]
    return str((retains or found)[0].parent)


def filled_in(text: str, folder: Path) -> str:
    """Replace the placeholders for artifacts."""
    for placeholder, stage in {
        "runs/artifacts/<fine-tuned>": "finetune",
        "runs/artifacts/<folder>": "retrain",
        "path/to/the/folder": "retrain",
    }.items():
        if placeholder in text:
            text = text.replace(placeholder, artifact(folder, stage))
    if "<reranker>" in text:
        found = sorted(folder.glob("runs/artifacts/folder-*-retrain-*/config.json"))
        (reranker,) = (path.parent for path in found if '"LABEL_0"' in path.read_text())
        text = text.replace("runs/artifacts/<reranker>", str(reranker))
    return text


def surroundings(folder: Path) -> dict[str, str]:
    """Return the environment of the commands; Hugging Face's caches lie beside the working directory."""
    return os.environ | {
        "GLUE_DIR": str(folder / "glue"),
        "HF_HOME": f"{folder}-hugging-face",
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
    }


def placed(command: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command with its placeholders filled in, and its environment."""
    command = command.replace("path/to/glue", str(folder / "glue"))
    command = command.replace("path/to/bert-base-uncased", str(folder / "bert"))
    command = command.replace("shape=bert_base retention=paper_rte", "shape=tiny retention=[8,4,2]")
    command = command.replace("path/to/folder", str(folder / "reviews"))
    command = command.replace("path/to/queries", str(folder / "queries"))
    command = command.replace("path/to/comments", str(folder / "comments" / "columns"))
    command = command.replace("path/to/tagged", str(folder / "comments" / "lists"))
    command = command.replace("path/to/checkpoint", str(folder / "bert"))
    command = command.replace("path/to/classifier", str(folder / "classifier"))
    command = command.replace("dataset.source.path=ag_news", f"dataset.source.path={folder / 'news'}")
    for large, small in SMALLER.items():
        command = command.replace(large, small)
    if " speed=1 " in command:
        command = command.replace("runs/artifacts/<folder>", artifact(folder, "retrain", "speeds"))
    command = filled_in(command, folder)
    if 'text="' in command:
        command = command.replace('text="A joy to watch."', 'text="A joy to watch." text_pair="It is good."')
    words = shlex.split(command)
    environment = surroundings(folder)
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
        reduced += ["grid.regularization=[0.1]", "hydra.sweeper.points.combined=null"]
        reduced += ["hydra.sweeper.points.elastic=null"]  # tiny models are not that fast at any setting
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


def test_the_pages_have_commands():
    modules = {re.search(r"powerbert\.\w+", command)[0] for command in COMMANDS}
    assert {
        *("powerbert.train", "powerbert.predict", "powerbert.analyse", "powerbert.report"),
        *("powerbert.status", "powerbert.retime", "powerbert.export", "powerbert.benchmark"),
    } <= modules


def test_the_pages_name_existing_keys(tmp_path):
    cfg = composed(tmp_path, "dataset=folder")
    for name in KEY_PAGES:
        page = PAGES[ROOT / "docs" / f"{name}.md"]
        columns = [row.split("|")[1] for row in re.findall(r"^\|.*`.*", page, re.MULTILINE)]
        keys = [code.partition("=")[0] for column in columns for code in re.findall(r"`([^`]+)`", column)]
        keys = [key for key in keys if not (CONFIG_FOLDER / "dataset" / f"{key}.yaml").is_file()]
        assert keys
        for key in keys:
            known = OmegaConf.select(cfg, key, default=cfg) is not cfg or (CONFIG_FOLDER / key).is_dir()
            assert known, f"{name}.md: {key}"


@pytest.mark.parametrize("command", STUDIES)
def test_the_commands_of_the_studies_which_take_hours_compose(command, tmp_path):
    module, *arguments = shlex.split(re.sub("[<>]", "", command).partition("powerbert.")[2])
    first_points = [re.sub(r"=([^\[,]+),.*", r"=\1", value) for value in arguments if value != "-m"]
    composed(tmp_path, *first_points, config_name=module)


def execute(snippets: list[str], folder: Path) -> None:
    """Run snippets in one new interpreter, each without the names of those before it."""
    settings = [one.partition("=") for one in [*REDUCED["powerbert.train"][1:], *SUB_MODELS.split()]]
    reduced = f"target_speedup=1.2, **{ {key: yaml.safe_load(value) for key, _, value in settings} }"
    small = {"target_speedup=3": reduced, '"minilm_l6"': '"tiny"', "path/to/folder": "reviews"}
    program = "import sys\nfor code in sys.argv[1:]: print(code); exec(code, {})"
    words = [sys.executable, "-c", program]
    for snippet in snippets:
        for given, smaller in small.items():
            snippet = snippet.replace(given, smaller)
        words.append(filled_in(snippet, folder))
    done = subprocess.run(words, cwd=folder, env=surroundings(folder), capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def run(command: str, folder: Path) -> None:
    words, environment = placed(command, folder)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def run_forked(command: str, folder: Path, printed: Path) -> None:
    (_, _, module, *arguments), environment = placed(command, folder)
    running = door(folder, module, *arguments, environment=environment, prints=str(printed))
    status = running.wait(timeout=600)
    assert status == 0, f"{command}\n{running.stdout[-2000:]}\n{running.stderr[-3000:]}"


def test_the_commands_and_snippets_run_in_their_order(folder, tmp_path):
    run(COMMANDS[0], folder)
    for command in COMMANDS[1:]:
        if command not in SCALED:
            run_forked(command, folder, tmp_path)
    own = [snippet for snippet in blocks("python") if "powerbert" in snippet]
    execute(own, folder)
    # what a process that never imports the package does with the code in the folder
    execute([snippet for snippet in blocks("python") if snippet not in own], folder)
    assert (folder / "labels.jsonl").read_text().count("\n") == 2
    assert (folder / "submission" / "RTE.tsv").is_file()
    assert {path.name for path in folder.iterdir()} <= {
        *(
            "glue",
            "reviews",
            "queries",
            "comments",
            "passages.txt",
            "news",
            "bert",
            "classifier",
            "texts.txt",
            "runs",
            "labels.jsonl",
            "submission",
        )
    }, "nothing is written elsewhere"


@pytest.mark.slow
@pytest.mark.parametrize("command", SCALED)
def test_the_commands_for_several_devices_and_machines_run(folder, command):
    for launcher in ("ray", "submitit"):
        if f"hydra/launcher={launcher}" in command:
            pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    run(command, folder)
