"""The graph that is traced: what is in it, and what of the model it leaves alone."""

import torch

from powerbert.export import trace
from powerbert.models import longest_input
from tests.models.backbones import make_host, make_power


def calls(program, name):
    """The nodes of an operation's calls."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    return [node for node in nodes if str(node.target).startswith(f"aten.{name}.")]


def test_an_encoder_that_retains_max_length_has_no_scores():
    model = make_power(make_host("bert", num_hidden_layers=1), retention_configuration=[16])
    for max_length, scored in ((16, 0), (20, 1)):
        program = trace(model, token_type_ids=False, max_length=max_length)
        assert len(calls(program, "argsort")) == scored
        assert len(calls(program, "softmax")) == scored


def test_the_model_stays_as_it_was():
    model = make_host("bert", num_hidden_layers=1).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    program = trace(model, token_type_ids=False)
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    training = [node.args[2] for node in calls(program, "dropout")]
    assert training
    assert not any(training)


def test_no_size_is_fixed_but_the_longest_length():
    model = make_host("bert", num_hidden_layers=1)
    ranges = trace(model, token_type_ids=True).range_constraints.values()
    assert sorted((int(size.lower), size.upper > 10**6 or int(size.upper)) for size in ranges) == [
        (1, True),
        (2, longest_input(model.config)),
    ]


def test_logits_are_float32_whatever_the_model_computes_in():
    model = make_host("bert", num_hidden_layers=1)
    ids = torch.tensor([[2, 7, 9]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    expected = model(**batch).logits
    logits = trace(model.to(torch.bfloat16), token_type_ids=False).module()(**batch)
    assert logits.dtype == torch.float32
    assert 0 < (logits - expected).abs().max() < 0.3
