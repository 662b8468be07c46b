"""Head-Prune (Michel et al. 2019): remove the least important attention heads, then re-train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powerbert.base.checks import check_number, check_whole
from powerbert.base.environment import default_device
from powerbert.base.progress import progress
from powerbert.methods.method import Artifacts, Context, Method, StagePlan, final_plan, finetune_plan

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from powerbert.stages import Stage


@dataclass
class HeadPrune(Method):
    """Remove the least important share of the fine-tuned model's heads; the share is swept.

    Heads are ranked over all encoders; every encoder keeps at least one. The settings are those of
    `conf/method`; ConfigError names one that is out of range.
    """

    name: str
    pruned: float
    inputs: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        check_number("method.pruned", self.pruned, high=1.0, strict=True)
        check_whole("method.inputs", self.inputs, optional=True)

    @property
    def knob(self) -> Mapping[str, float]:
        """The share of heads to remove."""
        return {"pruned": self.pruned}

    def plans(self, checkpoint: Path) -> list[StagePlan]:
        """Fine-tune; prune and re-train."""
        influence = {"method": self.name, **self.knob, "inputs": self.inputs}
        return [finetune_plan(checkpoint), final_plan(self.epochs, influence, self._build)]

    def findings(self, stage: str, artifacts: Artifacts) -> list[str]:
        """Report how many heads each encoder keeps."""
        if stage != "retrain":
            return []
        heads = artifacts["retrain"].manifest["results"]["heads"]
        return [f"heads ({', '.join(str(len(kept)) for kept in heads)})"]

    def _build(self, artifacts: Artifacts, context: Context) -> Stage:
        from powerbert.models import load_model, prune_heads  # heavy, here and below
        from powerbert.stages import Retrain

        model: Any = load_model(artifacts["finetune"].path)
        model.to(default_device())
        loader = context.data.train_dataloader()
        count = len(loader)
        if self.inputs is not None:
            count = min(count, -(-self.inputs // context.data.batch_size))
        batches = progress(islice(loader, count), "Importance of heads", total=count)
        heads = choose_heads(head_importance(model, batches, context.class_weights), self.pruned)
        pruned = prune_heads(model.cpu(), heads)
        return Retrain(pruned, context.task, context.optimization, context.seed, results={"heads": heads})


def head_importance(
    model: PreTrainedModel, batches: Iterable[Mapping[str, Tensor]], class_weights: Tensor | None = None
) -> Tensor:
    """Measure ``I_h = E_x | Att_h(x)^T dL/dAtt_h(x) |``, l2-normalised within each encoder.

    Att_h(x) is the output of head h before the output projection, over all words of the input x. Encoders
    that share weights share heads: their products are added before the absolute value.

    Args:
        model: called with a batch that holds `labels`, it returns the batch's mean loss; left unchanged.
        batches: at least one.
        class_weights: of each class in the loss, [classes].

    Returns:
        Importance, [encoders with distinct weights, most heads of an encoder]; NaN where an encoder has
        fewer heads.

    Raises:
        ValueError: if there are no batches.
    """
    import torch

    from powerbert.measure.evaluation import evaluation_mode
    from powerbert.models import unique_encoders
    from powerbert.stages import weighted_loss

    encoders = unique_encoders(model)
    place = {id(encoder.output_projection): index for index, encoder in enumerate(encoders)}
    outputs: list[tuple[int, Tensor]] = []

    def keep(projection: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        outputs.append((place[id(projection)], inputs[0]))

    hooks = [encoder.output_projection.register_forward_pre_hook(keep) for encoder in encoders]
    sums = [torch.zeros(encoder.heads, dtype=torch.float64) for encoder in encoders]
    inputs = 0
    try:
        with evaluation_mode(model), torch.enable_grad():
            for batch in batches:
                outputs.clear()
                count = len(batch["labels"])
                # Mean loss times batch size: its gradient is that of each input's own loss.
                on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
                output = model(**on_device)
                loss = output.loss * count
                if class_weights is not None:
                    loss = weighted_loss(output.logits, on_device["labels"], class_weights) * count
                gradients = torch.autograd.grad(loss, [output for _, output in outputs])
                products = [torch.zeros(count, encoder.heads, dtype=torch.float64) for encoder in encoders]
                for (index, output), gradient in zip(outputs, gradients, strict=True):
                    by_head = (output * gradient).unflatten(-1, (encoders[index].heads, -1)).double()
                    # Sum over words and, for multiple choice, over the choices of an input.
                    products[index] += by_head.sum((1, -1)).unflatten(0, (count, -1)).sum(1).cpu()
                for total, product in zip(sums, products, strict=True):
                    total += product.abs().sum(0)
                inputs += count
    finally:
        for hook in hooks:
            hook.remove()
    if inputs == 0:
        raise ValueError("there are no batches to measure the heads' importance on")
    normalised = [torch.nn.functional.normalize(total / inputs, dim=0) for total in sums]
    return torch.nn.utils.rnn.pad_sequence(normalised, batch_first=True, padding_value=float("nan"))


def choose_heads(importance: Tensor, share: float) -> list[list[int]]:
    """Choose the heads that stay when the least important ones of all encoders are removed.

    Args:
        importance: [encoders, heads], from `head_importance`.
        share: of all heads to remove, 0 to 1, rounded to the nearest number of heads. Fewer are removed
            where an encoder would lose its most important head.

    Returns:
        The remaining heads of each encoder, increasing.
    """
    stays = ~importance.isnan()
    heads = int(stays.sum())
    remaining = round(share * heads)
    order = importance.nan_to_num(float("inf")).flatten().argsort(stable=True).tolist()
    for flat in order[:heads]:
        encoder, head = divmod(flat, importance.shape[1])
        if remaining and int(stays[encoder].sum()) > 1:
            stays[encoder, head] = False
            remaining -= 1
    return [row.nonzero().flatten().tolist() for row in stays]
