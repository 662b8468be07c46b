"""PoWER-BERT: progressive word-vector elimination for faster BERT classifiers.

Importing the package registers its models with transformers' Auto classes.
"""

from typing import TYPE_CHECKING, Any

from powerbert.models import PowerTaskMixin

if TYPE_CHECKING:
    from powerbert.measure.training_free import eliminate as eliminate

__version__ = "0.1.0"
__all__ = ["eliminate"]


def _add_modeling_code(model: Any, folder: Any) -> None:
    from powerbert.ship import save_modeling_code  # heavy

    save_modeling_code(model, folder)


PowerTaskMixin.after_saving = staticmethod(_add_modeling_code)


def __getattr__(name: str) -> Any:
    if name == "eliminate":
        from powerbert.measure.training_free import eliminate  # heavy

        return eliminate
    raise AttributeError(f"module 'powerbert' has no attribute '{name}'")
