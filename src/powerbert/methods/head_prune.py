"""Head-Prune (Michel et al. 2019): the least important attention heads are removed, then it is re-trained."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from powerbert.base.device import default_device
from powerbert.base.errors import ConfigError
from powerbert.base.progress import progress
from powerbert.methods.importance import choose_heads, head_importance
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan
from powerbert.methods.settings import check_number
from powerbert.models import load_model, prune_heads
from powerbert.stages import Retrain, Stage


class HeadPrune(Method):
    """The fine-tuned model without the least important share of its heads, swept by that share.

    The heads are ranked over all encoders, and every encoder keeps one at least. They are removed for real.
    """

    def __init__(self, name: str, pruned: float, inputs: int | None = None, epochs: int | None = None):
        """Takes the method's settings from `conf/method`.

        Args:
            name: as in the record.
            pruned: share of the heads that are removed, between 0 and 1.
            inputs: how many training inputs the importance is measured on; None for all.
            epochs: of the re-training; None for as many as PoWER-BERT's search and re-training.

        Raises:
            ConfigError: naming the setting that is out of its range.
        """
        check_number("pruned", pruned, high=1.0, strict=True)
        if inputs is not None and (isinstance(inputs, bool) or not isinstance(inputs, int) or inputs < 1):
            raise ConfigError(
                f"method.inputs: {inputs!r} must be a whole number of at least 1, or null for all"
            )
        self.name = name
        self.pruned = pruned
        self.inputs = inputs
        self.epochs = epochs

    @property
    def knob(self) -> Mapping[str, float]:
        """The share of heads that are removed."""
        return {"pruned": self.pruned}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune; prune and re-train."""
        influence = {"method": self.name, **self.knob, "inputs": self.inputs}
        return [finetune_plan(checkpoint), final_plan(self.epochs, influence, self._build)]

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """How many heads each encoder has left."""
        if stage != "retrain":
            return []
        heads = artifacts["retrain"].manifest["results"]["heads"]
        return [f"heads ({', '.join(str(len(left)) for left in heads)})"]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        model: Any = load_model(artifacts["finetune"].path)
        model.to(default_device())
        importance = head_importance(model, self._batches(context, model.device))
        heads = choose_heads(importance, self.pruned)
        return Pruned(
            prune_heads(model.cpu(), heads), context.task, context.optimization, context.seed, heads=heads
        )

    def _batches(self, context: Context, device: Any) -> Iterator[dict[str, Tensor]]:
        data = context.data
        loader = data.train_dataloader()
        count = len(loader)
        if self.inputs is not None:
            count = min(count, -(-self.inputs // data.batch_size))
        for batch in progress(islice(loader, count), "Importance of heads", total=count):
            yield {name: tensor.to(device) for name, tensor in batch.items()}


class Pruned(Retrain):
    """Re-trains a model without some of its heads, and remembers which are left."""

    def __init__(self, *args: Any, heads: list[list[int]], **kwargs: Any):
        """Takes the heads that are left.

        Args:
            args: of `Retrain`.
            heads: the heads of each encoder that are left, as they were numbered before.
            kwargs: of `Retrain`.
        """
        super().__init__(*args, **kwargs)
        self.heads = heads

    def results(self) -> Mapping[str, Any]:
        """The heads that are left."""
        return {"heads": self.heads}
