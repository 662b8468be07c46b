"""PoWER-BERT: progressive word-vector elimination for faster BERT classifiers.

Importing the package lets transformers' Auto classes know its models; neither transformers nor torch is
imported before it is used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.api import Result as Result
    from powerbert.api import train as train
    from powerbert.measure.training_free import eliminate as eliminate

__version__ = "0.1.0"
__all__ = ["Result", "eliminate", "train"]


def _register_models(transformers: ModuleType) -> None:
    if "powerbert.models" not in sys.modules:  # else it is what imports transformers
        import_module("powerbert.models")


def _ship_modeling_code(task: ModuleType) -> None:
    def add_modeling_code(model: Any, folder: Any) -> None:
        from powerbert.ship import save_modeling_code  # heavy

        save_modeling_code(model, folder)

    task.PowerTaskMixin.after_saving = staticmethod(add_modeling_code)


register_post_import_hook(_register_models, "transformers")
register_post_import_hook(_ship_modeling_code, "powerbert.models.task")
lazy_package(__name__)
