"""Labels for texts from a trained model: `Predictor(folder)(texts)`."""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.predict.predictor import Predictor

__all__ = ["Predictor"]

lazy_package(__name__)
