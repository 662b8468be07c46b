"""Tiny hosts of every backbone, and the models that eliminate word-vectors with the same weights."""

import torch
from torch import nn

from powerbert.models import longest_input
from powerbert.models.backbone import BACKBONES as TABLE
from powerbert.models.backbone import TASKS
from powerbert.models.tiny import tiny_config

ROBERTAS = ("camembert", "xlm-roberta")
"""RoBERTa by other names: one test compares them with it, and tests of all backbones leave them out."""

BACKBONES = sorted(TABLE.keys() - {*ROBERTAS, "modernbert"})
"""Those whose encoders can all eliminate; ModernBERT's tests are `test_modernbert.py`."""
POSITIONS = 48


def host_config(backbone, **fields):
    """A small host's config; its attention is uneven enough for rankings to be stable."""
    fields = {"max_position_embeddings": POSITIONS, "pad_token_id": 0, "num_labels": 3} | fields
    return tiny_config(backbone, vocab_size=60, initializer_range=0.3, **fields)


def positions_for(backbone, words):
    """The number of positions of a host that takes inputs of so many words."""
    return 2 * words - longest_input(host_config(backbone, max_position_embeddings=words))


def make_host(backbone, task="sequence_classification", **fields):
    """The host model with seeded random weights and without dropout, in evaluation mode."""
    torch.manual_seed(0)
    return without_dropout(TASKS[task].from_config(host_config(backbone, **fields)))


def make_power(host, task="sequence_classification", **power_fields):
    """The host's power model; uneven retention parameters and thresholds."""
    fields = host.config.to_dict()
    backbone = TABLE[fields.pop("model_type")]
    model = backbone.tasks[task](backbone.config(**fields, **power_fields))
    missing, unexpected = model.load_state_dict(host.state_dict(), strict=False)
    assert not unexpected
    learnt = ("soft_extract.retention_parameters", "soft_threshold.thresholds")
    assert set(missing) <= {f"{host.base_model_prefix}.{name}" for name in learnt}
    if model.soft_extract is not None:
        r = model.soft_extract.retention_parameters
        r.data = torch.rand(r.shape, generator=torch.Generator().manual_seed(2))
    if (soft := model.base_model.soft_threshold) is not None:
        soft.thresholds.data = torch.linspace(0.1, 0.12, len(soft.thresholds))
    return without_dropout(model)


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.eval()
