"""Every backbone in every format: one file for all batches and lengths computes what the model does."""

import pytest
import torch

from powerbert.export import export_onnx, load_onnx, load_torch, trace
from powerbert.models import longest_input, prune_heads
from tests.models.backbones import BACKBONES, make_host, make_power, positions_for
from tests.models.batches import padded, ragged_inputs

TWO = {"retention_configuration": [8, 3]}
ONE = {"retention_configuration": [5]}  # a single encoder: quicker to export
ORDER = [0, *(torch.randperm(47, generator=torch.Generator().manual_seed(0)) + 1).tolist()]
OPTIONS = {
    "absolute": ONE,
    "two encoders": TWO,
    "equal l_j": {"retention_configuration": [17, 6, 5, 5]},
    "released": ONE | {"significance_diagonal": False, "significance_pad_queries": True},
    "by [CLS]": ONE | {"significance": "cls"},
    "first text": TWO | {"protected_until": 31},
    "shares, first text": {"retention_shares": [0.6, 0.3], "protected_until": 31},
    "head": ONE | {"selection": "head"},
    "rand": TWO | {"selection": "rand", "selection_order": ORDER},
    "shares": {"retention_shares": [0.6, 0.3]},
    "shares, [CLS] in the end": {"retention_shares": [1.0, 0.3, 0.3, 0.0]},
    "[CLS] alone": {"retention_shares": [0.5, 0.2], "cls_alone": True},
    "host, [CLS] alone": {"cls_alone": True},
    "bins": {"soft_extract_bins": 6},
    "search": {"soft_extract_length": 48},
    "host": {},
}
"""What is eliminated, if anything."""

INPUTS = {
    "batch 1": (7,),
    "ragged": (9, 1, 12, 4),
    "one word": (3, 3, 3),
    "shortest": (2,),
    "max_length": (48, 5),
}
"""Lengths of the inputs of a batch."""

FORMATS = {
    "onnx": (export_onnx, load_onnx, ".onnx"),
    "torch_export": (torch.export.save, load_torch, ".pt2"),
}

CASES = [(backbone, "absolute") for backbone in BACKBONES if backbone != "bert"]
CASES += [
    (backbone, option) for backbone in ("deberta-v2", "mpnet") for option in ("two encoders", "[CLS] alone")
]
CASES += [("bert", option) for option in OPTIONS if option != "absolute"]


def tiny_model(backbone="bert", task="sequence_classification", **power_fields):
    """A model with positions for inputs of 48 words, whatever the backbone."""
    host = make_host(
        backbone,
        task,
        num_hidden_layers=len(
            power_fields.get("retention_configuration") or power_fields.get("retention_shares") or [1]
        ),
        max_position_embeddings=positions_for(backbone, 48),
    )
    return make_power(host, task, **power_fields) if power_fields else host


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def traced(request):
    """A model of a backbone and an option, and its program: tracing takes as long as writing both formats."""
    backbone, option = request.param
    model = tiny_model(backbone, **OPTIONS[option])
    assert longest_input(model.config) == 48
    return model, trace(model, token_type_ids=False)


@pytest.fixture(scope="module", params=FORMATS)
def written(request, tmp_path_factory):
    """Writes a program and opens the file."""
    write, load, suffix = FORMATS[request.param]

    def written(program):
        path = tmp_path_factory.mktemp("exported") / f"model{suffix}"
        write(program, path)
        return load(path)

    return written


@pytest.fixture(scope="module")
def pair(traced, written):
    """A model and its file."""
    model, program = traced
    return model, written(program)


def batch_of(lengths, side="right"):
    batch = padded(ragged_inputs(lengths), side=side)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


@torch.inference_mode()
def assert_same(model, file, batch):
    torch.testing.assert_close(file(**batch).logits, model(**batch).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lengths", INPUTS.values(), ids=INPUTS)
def test_the_file_computes_what_the_model_does(pair, lengths):
    assert_same(*pair, batch_of(lengths))


def test_left_padding_too(pair):
    assert_same(*pair, batch_of((9, 1, 12, 4), side="left"))


def test_heads_that_were_pruned_stay_away(written):
    model = prune_heads(tiny_model(**ONE), [[0, 3]])
    assert_same(model, written(trace(model, token_type_ids=False)), batch_of((9, 1, 12, 4)))


def test_multiple_choice_takes_any_number_of_choices(written):
    model = tiny_model(task="multiple_choice", **ONE)
    file = written(trace(model, token_type_ids=False))
    for shape, lengths in (((2, 2, -1), (9, 1, 12, 4)), ((1, 3, -1), (3, 11, 7))):
        assert_same(model, file, {name: value.view(shape) for name, value in batch_of(lengths).items()})


def test_token_types_count_where_they_are_asked_for(written):
    model = tiny_model(**ONE)
    file = written(trace(model, token_type_ids=True))
    batch = batch_of((9, 1, 12, 4))
    types = (torch.arange(12) > 4).long().expand(4, -1).contiguous()
    assert_same(model, file, {**batch, "token_type_ids": types})
    assert not torch.equal(
        file(**batch, token_type_ids=types).logits, file(**batch, token_type_ids=types * 0).logits
    )


@pytest.mark.parametrize("format", FORMATS)
def test_modernbert_with_an_encoder_of_near_words(format, tmp_path):
    model = make_power(make_host("modernbert"), retention_configuration=[8, 8, 3])
    write, load, suffix = FORMATS[format]
    write(trace(model, token_type_ids=False), tmp_path / f"model{suffix}")
    batch = padded(ragged_inputs((9, 1, 20, 4)))
    del batch["position_ids"]
    with torch.no_grad():
        logits = load(tmp_path / f"model{suffix}")(**batch).logits
        torch.testing.assert_close(logits, model(**batch).logits, atol=1e-5, rtol=0)
