"""Figure 2: similarity of an input's word-vectors after each encoder (section 2, diffusion)."""

import math
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from powerbert.base.figures import BLUE, new_figure, number_encoders, save
from powerbert.predict.subject import Subject


def run(subject: Subject, output: Path) -> pd.DataFrame:
    """Measure the similarity and write `cosine.csv`, `.png` and `.svg` to the folder `output`.

    Each input counts equally: the mean over the pairs of an input, then the mean over the inputs. The paper
    pads all inputs to l words, where this equals the mean over all pairs. Here padding is left out, and the
    mean over all pairs would mostly show the long inputs. Eliminated word-vectors form no pairs.

    Returns:
        One row per encoder: `encoder`, `cosine_similarity`, `standard_deviation` over the inputs, and
        `inputs`, the number of inputs that have at least two word-vectors there.
    """
    table = summarise(similarity_by_encoder(subject))
    save(_draw(table, subject.title), table, output, "cosine")
    return table


@torch.inference_mode()
def similarity_by_encoder(subject: Subject) -> Tensor:
    """Return the mean similarity of each input's pairs by encoder, [L, inputs]; NaN without a pair."""
    columns = []
    for batch in subject.batches("Cosine similarity"):
        states = encoder_outputs(subject.model.base_model, batch)
        columns.append(torch.stack([mean_pairwise_cosine(*state) for state in states]).cpu())
    return torch.cat(columns, dim=1)


def encoder_outputs(base_model: torch.nn.Module, batch: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return each encoder's word-vectors [B, K, D] with the mask [B, K] of the real ones."""
    if getattr(base_model.config, "eliminates", False):
        outputs = base_model(**batch, output_hidden_states=True, output_retained=True)
        masks = [retained.mask for retained in outputs.retained]
    else:
        outputs = base_model(**batch, output_hidden_states=True)
        masks = [batch["attention_mask"].bool()] * (len(outputs.hidden_states) - 1)
    return list(zip(outputs.hidden_states[1:], masks, strict=True))


def mean_pairwise_cosine(word_vectors: Tensor, mask: Tensor) -> Tensor:
    """Return the mean cosine similarity over all pairs of an input's real word-vectors; NaN without a pair.

    From word-vectors, [B, N, D], and their mask, [B, N], to [B]. |sum u|^2 of an input's n unit vectors u is
    the sum of all their products: n of each vector with itself, and each of the n(n - 1) / 2 pairs twice.
    """
    units = F.normalize(word_vectors.float(), dim=-1) * mask.unsqueeze(-1)
    count = mask.sum(dim=1)
    pairs_twice = count * (count - 1)
    mean = (units.sum(dim=1).square().sum(dim=-1) - count) / pairs_twice
    return mean.masked_fill(pairs_twice == 0, torch.nan)


def summarise(similarities: Tensor) -> pd.DataFrame:
    """Return the table of `run` from the similarities, [L, inputs]."""
    inputs = pd.DataFrame(similarities.double().numpy()).T
    return pd.DataFrame(
        {
            "encoder": range(1, len(similarities) + 1),
            "cosine_similarity": inputs.mean(),
            "standard_deviation": inputs.std(ddof=0),
            "inputs": inputs.count(),
        }
    )


def _draw(table: pd.DataFrame, title: str) -> Figure:
    similarity = table["cosine_similarity"]
    with new_figure(max(4.5, 0.5 * len(table) + 1), 3) as figure:
        axes = figure.add_subplot(title=title, ylabel="mean cosine similarity")
        bars = axes.bar(table["encoder"], similarity.fillna(0), width=0.7, color=BLUE)
        values = ["no pair" if math.isnan(value) else f"{value:.2f}" for value in similarity]
        axes.bar_label(bars, values, padding=2, fontsize=8)
        axes.set_ylim(min(0, similarity.min()), 1)
        number_encoders(axes, len(table))
    return figure
