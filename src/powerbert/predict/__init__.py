"""Labels for texts from a trained model: `Predictor(folder)(texts)`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powerbert.predict.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    """Import `Predictor` on first use: the command must report a wrong key before PyTorch loads."""
    if name == "Predictor":
        from powerbert.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
