"""The modeling code of a power model, saved beside its weights.

transformers knows nothing of a model type `power_bert`. Where powerbert is installed, its classes are
registered and used. Elsewhere `trust_remote_code=True` has transformers import the classes that `auto_map` in
config.json names, from files in the model's own folder. All of them stand in one file: transformers imports
a file under a name that depends on its content, and what two files share would exist twice.
"""

import json
from pathlib import Path

from transformers import PreTrainedModel

import powerbert
from powerbert.base.errors import ModelError
from powerbert.base.output import whole_file
from powerbert.models.auto import BACKBONES, TASKS, Backbone
from powerbert.ship.flatten import flatten

HEADER = """\
# Generated from powerbert {version}; not to be edited. The source stands in the modules of powerbert that the
# comments name. With this file in its folder a model loads where powerbert is not installed, by transformers
# 5 or newer with trust_remote_code=True.
"""


def save_modeling_code(model: PreTrainedModel, folder: Path | str) -> Path | None:
    """Makes a saved power model loadable where powerbert is not installed.

    Args:
        model: what was saved. A host model is known to transformers and needs nothing.
        folder: where it was saved; `config.json` there gains the entry `auto_map`.

    Returns:
        The file with the modeling code; None for a host model.

    Raises:
        ModelError: if the folder has no readable `config.json`.
    """
    backbones = [one for one in BACKBONES.values() if isinstance(model.config, one.config)]
    if not backbones:
        return None
    backbone = backbones[0]
    config_file = Path(folder) / "config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{config_file}: cannot be read ({error}); save the model there first") from error
    code_file = Path(folder) / f"{module_name(backbone)}.py"
    with whole_file(code_file) as file:
        file.write(modeling_code(backbone))
    with whole_file(config_file) as file:
        json.dump(config | {"auto_map": auto_map(backbone)}, file, indent=2, sort_keys=True)
        file.write("\n")
    return code_file


def modeling_code(backbone: Backbone) -> str:
    """The text of a module with a backbone's configuration and models, which does not import powerbert.

    Args:
        backbone: from `models.auto.BACKBONES`.
    """
    classes = [backbone.config, backbone.model, *backbone.tasks.values()]
    return f"{HEADER.format(version=powerbert.__version__)}\n{flatten(powerbert.__name__, classes)}"


def auto_map(backbone: Backbone) -> dict[str, str]:
    """Which class of the modeling code each of transformers' Auto classes shall take."""
    classes = {"AutoConfig": backbone.config, "AutoModel": backbone.model}
    classes |= {TASKS[task].__name__: model for task, model in backbone.tasks.items()}
    return {auto: f"{module_name(backbone)}.{one.__name__}" for auto, one in classes.items()}


def module_name(backbone: Backbone) -> str:
    """The module of the modeling code, such as `modeling_power_bert`."""
    return f"modeling_{backbone.config.model_type}"
