"""How an encoder goes about its work: what it multiplies, and what it does not."""

import pytest
import torch
from torch.overrides import TorchFunctionMode

from powerbert.elimination import blockwise_significance
from powerbert.models.backbones.bert import bert_encoder
from powerbert.models.encoder import encode, encode_and_extract, encode_and_soft_extract, keep_heads

N, K, HIDDEN, INNER = 10, 4, 32, 64


class Calls(TorchFunctionMode):
    """Records the name and the shapes of the tensors of each call into torch."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", str(function)).strip("_")
        self.calls.append((name, *(tuple(a.shape) for a in args if isinstance(a, torch.Tensor))))
        return function(*args, **(kwargs or {}))

    def of(self, *names):
        return [shapes for name, *shapes in self.calls if name in names]


@pytest.fixture
def host(tiny_bert):
    return bert_encoder(tiny_bert.bert.encoder.layer[0])


@pytest.fixture
def hidden():
    return torch.randn(2, N, HIDDEN, generator=torch.Generator().manual_seed(0))


def falling(query, key, mask, bias):
    """Significance that falls with the position, whatever the attention."""
    return -torch.arange(key.shape[-2]).expand(key.shape[0], -1).float()


def rising(query, key, mask, bias):
    return -falling(query, key, mask, bias)


@pytest.mark.parametrize(
    ("fields", "scores"),
    [
        ({"soft_extract_length": 12}, 3),
        ({"retention_configuration": [12, N, 4]}, 1),
        ({"retention_configuration": [8, 8, 8]}, 1),
        ({"retention_configuration": [12, K, 1], "selection": "head"}, 0),
        ({"retention_configuration": [12, K, 1], "selection": "rand", "selection_order": list(range(N))}, 0),
    ],
)
def test_scores_are_computed_only_where_they_decide(power_bert, fields, scores):
    with Calls() as calls:
        power_bert(**fields)(torch.full((2, N), 7))
    assert calls.of("softmax") == [[(2, 4, N, N)]] * scores
    assert len(calls.of("scaled_dot_product_attention")) == 3


def test_word_vectors_at_given_positions_are_as_if_nothing_had_been_eliminated(host, hidden):
    positions, dense = torch.tensor([[0, 7, 8, 9], [0, 1, 2, 6]]), encode(host, hidden, None)
    with Calls() as calls:
        output = encode(host, hidden, None, positions)
    rows = [shapes[0] for shapes in calls.of("linear")]
    assert rows == [(2, K, HIDDEN), *[(2, N, HIDDEN)] * 2, *[(2, K, HIDDEN)] * 2, (2, K, INNER)]
    for b in range(2):
        torch.testing.assert_close(output[b], dense[b, positions[b]])


def test_eliminated_word_vectors_are_left_out_of_every_product_but_the_projections(host, hidden):
    with Calls() as calls:
        output, _, positions = encode_and_extract(host, hidden, None, K, rising)
    assert positions.tolist() == [[0, 7, 8, 9]] * 2
    torch.testing.assert_close(output, encode(host, hidden, None)[:, [0, 7, 8, 9]])
    rows = [shapes[0] for shapes in calls.of("linear")]
    assert rows == [*[(2, N, HIDDEN)] * 3, *[(2, K, HIDDEN)] * 2, (2, K, INNER)]
    assert calls.of("scaled_dot_product_attention") == [[(2, 4, K, 8), (2, 4, N, 8), (2, 4, N, 8)]]


def test_the_mask_travels_with_the_word_vectors(host, hidden):
    mask = torch.tensor([[True] * 8 + [False] * 2, [False] * 7 + [True] * 3])
    output, retained_mask, positions = encode_and_extract(host, hidden, mask, K, rising)
    assert positions.tolist() == [[0, 5, 6, 7], [0, 7, 8, 9]]
    assert retained_mask.tolist() == [[True] * 4, [False, True, True, True]]
    torch.testing.assert_close(output[1, 1:], encode(host, hidden, mask)[1, 7:])


def test_significance_is_taken_before_dropout_and_as_the_soft_extract_layer_takes_it(host, hidden):
    ranks = []
    encode_and_soft_extract(
        host, hidden, None, lambda x, r: ranks.append(r) or x, blockwise_significance, protect_cls=True
    )
    expected = (ranks[0] < K).nonzero()[:, 1].view(2, K)
    host.attention_dropout.p = 0.9
    for mode in (False, True, True, True):
        host.attention_dropout.train(mode)
        _, _, positions = encode_and_extract(host, hidden, None, K, blockwise_significance)
        assert torch.equal(positions, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_output_has_the_precision_of_the_input(tiny_bert, hidden, dtype):
    host = bert_encoder(tiny_bert.to(dtype).bert.encoder.layer[0])
    output, _, _ = encode_and_extract(host, hidden.to(dtype), None, K, blockwise_significance)
    assert output.dtype == dtype


@pytest.mark.parametrize("run", ["dense", "extract", "soft-extract"])
def test_attention_dropout_is_that_of_the_host(host, hidden, run):
    runs = {
        "dense": lambda: encode(host, hidden, None),
        "extract": lambda: encode_and_extract(host, hidden, None, K, falling)[0],
        "soft-extract": lambda: encode_and_soft_extract(host, hidden, None, lambda x, r: x, falling, True),
    }
    host.attention_dropout.p = 0.5
    host.attention_dropout.eval()
    assert torch.equal(runs[run](), runs[run]())
    host.attention_dropout.train()
    assert not torch.allclose(runs[run](), runs[run]())


def test_soft_extract_comes_between_self_attention_and_the_feed_forward_network(host, hidden):
    seen = {}

    def scale(attended, ranks):
        seen.update(attended=attended, ranks=ranks)
        return attended * 0.5

    output = encode_and_soft_extract(host, hidden, None, scale, rising, protect_cls=False)
    assert seen["ranks"].tolist() == [list(range(N - 1, -1, -1))] * 2
    torch.testing.assert_close(output, host.feed_forward(seen["attended"] * 0.5))
    torch.testing.assert_close(host.feed_forward(seen["attended"]), encode(host, hidden, None))


def test_heads_may_have_been_pruned(host, hidden):
    keep_heads([host], [[1, 2, 3]])
    output, _, positions = encode_and_extract(host, hidden, None, K, falling)
    torch.testing.assert_close(output, encode(host, hidden, None)[:, positions[0]])
