"""No file of the package unpickles, evaluates text, or trusts remote code."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FUNCTIONS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    *("os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("pd.read_pickle", "pandas.read_pickle", "runpy.run_path", "runpy.run_module"),
}
ALLOWED = {
    "stages/processes.py": ["import pickle"],  # work for processes that it has started itself, by no file
    "powerbert/__main__.py": ["runpy.run_module"],  # a module of the package
}

LOADERS = {"load", "load_from_checkpoint", "fit", "validate", "test", "predict"}
"""Of torch, and of Lightning's trainer where it is given a checkpoint."""


def dangers(tree: ast.AST) -> list[str]:
    """What in a module could run what a file says."""
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [
                f"from {node.module} import {alias.name}"
                for alias in node.names
                if f"{node.module}.{alias.name}" in METHODS | {"torch.load"}
            ]
        found += [
            f"import {name}"
            for name in names
            if name.partition(".")[0] in MODULES and name != "pickle.UnpicklingError"  # nothing is read by it
        ]
        if isinstance(node, ast.Call):
            found += _dangers_of_call(ast.unparse(node.func), {one.arg: one.value for one in node.keywords})
    return found


def _dangers_of_call(name: str, keywords: dict[str | None, ast.expr]) -> list[str]:
    def is_set_to(key: str, *values: object) -> bool:
        value = keywords.get(key)
        return isinstance(value, ast.Constant) and value.value in values

    found = [name] if name in FUNCTIONS | METHODS else []
    found += [
        key
        for key in ("trust_remote_code", "allow_pickle", "shell")
        if key in keywords and not is_set_to(key, False)
    ]
    reads_checkpoint = (
        name == "torch.load" or name.endswith("load_from_checkpoint") or "ckpt_path" in keywords
    )
    if reads_checkpoint and name.rpartition(".")[2] in LOADERS and not is_set_to("weights_only", True):
        found.append(f"{name} without weights_only=True")
    if name.rpartition(".")[2] == "extractall" and not is_set_to("filter", "data"):
        found.append(name)
    if (
        name.endswith("from_pretrained")
        and "use_safetensors" in keywords
        and not is_set_to("use_safetensors", True)
    ):
        found.append(f"{name} without safetensors")
    return found


def test_there_are_sources():
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_nothing_runs_what_a_file_says(path):
    found = dangers(ast.parse(path.read_text(encoding="utf-8")))
    assert found == ALLOWED.get("/".join(path.parts[-2:]), [])


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "from pickle import loads",
        "from torch import load",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "trainer.fit(stage, ckpt_path=path)",
        "Stage.load_from_checkpoint(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=cfg.trust)",
        "AutoModel.from_pretrained(name, use_safetensors=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "archive.extractall(folder)",
    ],
)
def test_the_check_finds(line):
    assert dangers(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "from pickle import UnpicklingError",
        "torch.load(path, weights_only=True)",
        "trainer.fit(stage, ckpt_path=path, weights_only=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "re.compile(pattern)",
        "yaml.safe_load(text)",
    ],
)
def test_the_check_lets_pass(line):
    assert not dangers(ast.parse(line))
