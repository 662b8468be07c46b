"""The experiments `<dataset>_search` and `<dataset>_pareto`, registered with Hydra as if each were a yaml.

Hydra imports its plugins before it composes anything, so the names are known to every entry point, to sweeps
and to shell completion. Files `experiment/<name>.yaml` of other names stand beside them.
"""

from typing import Any

from hydra.core.config_store import ConfigStore

MODELS = {"snippets": "minilm_l6"} | dict.fromkeys(
    ("cola", "rte", "qqp", "mrpc", "sst2", "mnli_m", "mnli_mm", "qnli", "stsb", "imdb", "race"), "bert_base"
)
"""The model by dataset: the paper's BERT-base, or the packaged one that needs no hub."""

GRIDS = {"snippets": {"lambda": [0.0002, 0.0005, 0.001, 0.002, 0.005], "encoders": [2, 3, 4, 5]}}
"""By dataset, values of `grid` other than conf/sweep/pareto.yaml has; the packaged model has 6 encoders."""


def search(dataset: str) -> dict[str, Any]:
    """Run PoWER-BERT on a dataset with its hyper-parameters."""
    chosen = {
        "dataset": dataset,
        "model": MODELS[dataset],
        "method": "power_bert",
        "hyperparameters": dataset,
    }
    return {"defaults": [{f"override /{group}": name} for group, name in chosen.items()]}


def pareto(dataset: str) -> dict[str, Any]:
    """Run all methods over their knobs."""
    experiment: dict[str, Any] = {"defaults": [f"{dataset}_search", {"/sweep": "pareto"}]}
    return experiment | ({"grid": GRIDS[dataset]} if dataset in GRIDS else {})


for _dataset in MODELS:
    for _name, _experiment in (("search", search(_dataset)), ("pareto", pareto(_dataset))):
        ConfigStore.instance().store(
            f"{_dataset}_{_name}", _experiment, group="experiment", package="_global_", provider="powerbert"
        )
