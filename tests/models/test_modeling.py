"""What elimination computes: equal to the host, equal to a brute-force reference, equal at any padding.

The first three sections are one matrix over all backbones and all ways of elimination.
"""

import itertools
import weakref

import pytest
import torch

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs
from .reference import run_reference

SOFT = {"soft_extract_length": 20}
HARD = {"retention_configuration": [8, 5, 2]}
SHARES = {"retention_shares": [0.8, 0.45, 0.2]}
BINS = {"soft_extract_bins": 6}
ALONE = {"cls_alone": True}
HEAD = {**HARD, "selection": "head"}
ORDER = [0, 3, 15, 1, 8, 12, 5, 18, 2, 6, 4, 10, 7, 9, 11, 13, 14, 16, 17, 19]
RAND = {**HARD, "selection": "rand", "selection_order": ORDER}
THRESHOLDS = {"retention_thresholds": [0.08, 0.1, 0.1]}
FIRST_TEXT = {"protected_until": 31}
"""Ends the first text of some inputs of `ragged_inputs`."""
VARIANTS = {
    "hard": HARD,
    "hard, from the second encoder on": {"retention_configuration": [12, 6, 6]},
    "hard, [CLS] alone": {"retention_configuration": [1, 1, 1]},
    "hard, released": {**HARD, "significance_diagonal": False},
    "hard, by [CLS]": {**HARD, "significance": "cls"},
    "hard, first text": HARD | FIRST_TEXT,
    "shares, first text": SHARES | FIRST_TEXT | ALONE,
    "soft, first text": SOFT | FIRST_TEXT,
    "soft, first text, released": SOFT | FIRST_TEXT | {"soft_extract_protects_cls": False},
    "head": HEAD,
    "head, from the second encoder on": {**HEAD, "retention_configuration": [12, 6, 6]},
    "rand": RAND,
    "rand, [CLS] alone": {**RAND, "retention_configuration": [20, 1, 1]},
    "shares": SHARES,
    "shares, from the second encoder on": {"retention_shares": [1.0, 0.5, 0.5]},
    "shares, [CLS] in the end": {"retention_shares": [0.6, 0.3, 0.0]},
    "[CLS] alone": ALONE,
    "hard, [CLS] alone in the last": HARD | ALONE,
    "shares, [CLS] alone in the last": SHARES | ALONE,
    "head, [CLS] alone in the last": HEAD | ALONE,
    "soft, [CLS] alone in the last": SOFT | ALONE,
    "bins": BINS,
    "bins, [CLS] alone in the last": BINS | ALONE,
    "thresholds": THRESHOLDS,
    "thresholds, soft": {"soft_threshold_temperature": 0.01},
    "soft": SOFT,
    "soft, released": {**SOFT, "significance_diagonal": False, "soft_extract_protects_cls": False},
}
PAD_QUERIES = {
    "bins, PAD queries": {**BINS, "significance_pad_queries": True},
    "hard, PAD queries": {**HARD, "significance_pad_queries": True},
    "soft, PAD queries": {**SOFT, "significance_pad_queries": True},
}
FULL = {
    "hard": {"retention_configuration": [12, 12, 12]},
    "head": {"retention_configuration": [12, 12, 12], "selection": "head"},
    "rand": {**RAND, "retention_configuration": [20, 20, 20]},
    "shares": {"retention_shares": [1.0, 1.0, 1.0]},
    "thresholds": {"retention_thresholds": [0.0, 0.0, 0.0]},
    "soft": SOFT,
    "bins": BINS,
}
KINDS = {"hard": HARD, "rand": RAND, "soft": SOFT, "shares": SHARES, "bins": BINS, "alone": SHARES | ALONE}

all_kinds = pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)


@pytest.fixture(params=VARIANTS)
def variant(request):
    """Elimination fields under which padding has no influence."""
    return VARIANTS[request.param]


# Full retention equals the host.


def test_without_elimination_fields_it_is_the_host(host, power, side):
    batch = padded(ragged_inputs(), side=side)
    ours, hosts = (m(**batch, output_hidden_states=True) for m in (power(), host))
    assert torch.equal(ours.logits, hosts.logits)
    assert all(torch.equal(a, b) for a, b in zip(ours.hidden_states, hosts.hidden_states, strict=True))


@pytest.mark.parametrize("fields", FULL.values(), ids=FULL)
def test_full_retention_equals_the_host(host, power, fields, side):
    """Every real word's hidden states are the host's in a batch padded alike.

    The host's head reads position 0, padding in a left-padded batch; its logits are therefore taken from the
    same inputs padded on the right, where it reads [CLS].
    """
    model = power(**fields)
    if model.soft_extract is not None:
        torch.nn.init.ones_(model.soft_extract.retention_parameters)
    batch = padded(ragged_inputs(), side=side)
    real = batch["attention_mask"].bool()
    ours, hosts = (m(**batch, output_hidden_states=True).hidden_states for m in (model, host))
    for states, expected in zip(ours, hosts, strict=True):
        torch.testing.assert_close(states[real], expected[real], atol=1e-5, rtol=0)
    logits = host(**padded(ragged_inputs(), side="right")).logits
    torch.testing.assert_close(model(**batch).logits, logits, atol=1e-5, rtol=0)


# Agreement with the brute-force reference.


@pytest.mark.parametrize("fields", (VARIANTS | PAD_QUERIES).values(), ids=VARIANTS | PAD_QUERIES)
def test_agrees_with_the_reference(power, fields, side):
    model = power(**fields).double()
    inputs = ragged_inputs((7, 1, 10))
    batch = padded(inputs, side=side)
    logits = model(**batch).logits
    retained = model.retained_word_vectors(**batch)
    for b in range(len(inputs)):
        expected = run_reference(
            model, *(batch[key][b].tolist() for key in ("input_ids", "attention_mask", "position_ids"))
        )
        torch.testing.assert_close(logits[b], expected.logits, atol=1e-10, rtol=0)
        assert [encoder.positions[b][encoder.mask[b]].tolist() for encoder in retained] == expected.retained
        for encoder in retained:
            assert (encoder.positions[b].diff() > 0).all()


@pytest.mark.parametrize(("encoders", "heads", "hidden_size"), [(1, 1, 6), (5, 3, 12), (2, 8, 16)])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_agrees_with_the_reference_at_any_size(encoders, heads, hidden_size, soft):
    sizes = {"num_hidden_layers": encoders, "num_attention_heads": heads, "hidden_size": hidden_size}
    fields = {"soft_extract_length": 9} if soft else {"retention_configuration": [5, 4, 3, 2, 1][:encoders]}
    model = make_power(make_host("bert", **sizes), **fields).double()
    inputs = ragged_inputs((9, 6))
    logits = model(**padded(inputs)).logits
    for b, words in enumerate(inputs):
        expected = run_reference(model, words, [1] * len(words), range(len(words)))
        torch.testing.assert_close(logits[b], expected.logits, atol=1e-10, rtol=0)


# Padding and neighbours have no influence.


def test_logits_do_not_depend_on_padding_nor_on_neighbours(power, variant, side):
    model, inputs = power(**variant), ragged_inputs()
    alone = torch.cat([model(**padded([words])).logits for words in inputs])
    for width in (12, 13, 19):
        together = model(**padded(inputs, width, side)).logits
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_gradients_do_not_depend_on_padding(power_bert, variant, side):
    model = power_bert(**variant).double().train()
    inputs, labels = ragged_inputs(), torch.tensor([0, 2, 1, 1])

    def gradients(batch, target):
        model.zero_grad()
        (len(target) * model(**batch, labels=target).loss).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    together = gradients(padded(inputs, 15, side), labels)
    apart = [gradients(padded([words]), labels[b : b + 1]) for b, words in enumerate(inputs)]
    assert together.keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, sum(one[name] for one in apart), atol=1e-10, rtol=0)


# What is retained.


def test_cls_and_only_real_words_where_there_are_enough_and_among_those_before(power_bert, side):
    model, batch = power_bert(**HARD), padded(ragged_inputs((9, 8, 12, 10)), side=side)
    retained = model.retained_word_vectors(**batch)
    for encoder, k in zip(retained, HARD["retention_configuration"], strict=True):
        assert encoder.positions.shape == encoder.mask.shape == (4, k)
        assert torch.equal(encoder.positions[:, 0], batch["attention_mask"].argmax(dim=1))
        assert (encoder.positions.diff(dim=1) > 0).all()
        assert encoder.mask.all()
    for before, after in itertools.pairwise(retained):
        assert all(torch.isin(after.positions[b], before.positions[b]).all() for b in range(4))


@pytest.mark.parametrize("fields", [HARD, HEAD], ids=["attn", "head"])
def test_inputs_shorter_than_the_configuration_lose_nothing(power_bert, fields):
    retained = power_bert(**fields).retained_word_vectors(**padded(ragged_inputs((2, 1))))
    assert all(encoder.positions.tolist() == [[0, 1], [0, 1]] for encoder in retained)


def retained_words(model, batch):
    """The positions in each input, counted from its [CLS], that each encoder retains."""
    first = batch["attention_mask"].argmax(dim=1)
    return [
        [(positions[mask] - start).tolist() for positions, mask, start in zip(*encoder, first, strict=True)]
        for encoder in model.retained_word_vectors(**batch)
    ]


@pytest.mark.parametrize(("fields", "order"), [(HEAD, range(20)), (RAND, ORDER)], ids=["head", "rand"])
def test_static_selection_retains_the_same_positions_of_every_input(power_bert, fields, order, side):
    batch = padded(ragged_inputs((9, 1, 12, 6)), side=side)
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    assert retained_words(power_bert(**fields), batch) == [
        [sorted(p for p in order[:k] if p < n) for n in lengths] for k in HARD["retention_configuration"]
    ]


def test_static_selection_depends_on_length_alone(power_bert):
    """Its positions are those of an input padded to the maximum length; a short input lacks most of them."""
    model = power_bert(**RAND)
    assert retained_words(model, padded(ragged_inputs((6,))))[0] == [[0, 1, 3, 5]]
    batches = [padded(ragged_inputs((9, 7), seed=seed)) for seed in (1, 2)]
    assert retained_words(model, batches[0]) == retained_words(model, batches[1])


def test_an_input_beyond_the_positions_of_the_selection_is_refused(power_bert):
    with pytest.raises(ValueError, match="inputs of 21 words, but only 20 positions"):
        power_bert(**RAND)(**padded(ragged_inputs((21,))))
    assert power_bert(**HEAD)(**padded(ragged_inputs((21,)))).logits.isfinite().all()


def test_models_without_extract_layers_retain_everything_or_have_nothing_to_tell(power_bert):
    batch = padded(ragged_inputs())
    retained = power_bert(**SOFT).retained_word_vectors(**batch)
    assert all(encoder.positions.tolist() == [list(range(12))] * 4 for encoder in retained)
    with pytest.raises(ValueError, match="eliminates nothing"):
        power_bert().retained_word_vectors(**batch)


# Use.


def test_without_a_mask_every_word_is_real(power_bert, variant):
    model, batch = power_bert(**variant), padded(ragged_inputs((7, 7)))
    unmasked = model(batch["input_ids"], position_ids=batch["position_ids"]).logits
    torch.testing.assert_close(unmasked, model(**batch).logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float32])
def test_a_mask_of_any_type(power_bert, dtype):
    model, batch = power_bert(**HARD), padded(ragged_inputs())
    expected = model(**batch).logits
    batch["attention_mask"] = batch["attention_mask"].to(dtype)
    assert torch.equal(model(**batch).logits, expected)


def test_masks_of_another_shape_and_attention_matrices_are_refused(power_bert):
    model, batch = power_bert(**HARD), padded(ragged_inputs())
    with pytest.raises(ValueError, match="does not return attention matrices"):
        model(**batch, output_attentions=True)
    with pytest.raises(ValueError, match="attention_mask must have the batch's shape"):
        model(batch["input_ids"], batch["attention_mask"][:, None, None, :])


def test_hidden_states_grow_shorter(power_bert):
    model, batch = power_bert(**HARD), padded(ragged_inputs())
    assert model(**batch).hidden_states is None
    model.config.output_hidden_states = True
    assert [state.shape[1] for state in model(**batch).hidden_states] == [12, 8, 5, 2]


def test_hidden_states_that_nobody_asks_for_are_given_up(power_bert):
    given = []

    def check(query, inputs):
        assert all(state() is None for state in given[1:]), "the output of an earlier encoder is still there"
        given.append(weakref.ref(inputs[0]))

    model = power_bert(**HARD)
    for layer in model.bert.encoder.layer:
        layer.attention.self.query.register_forward_pre_hook(check)
    with torch.inference_mode():
        model(**padded(ragged_inputs()))
    assert len(given) == 3


def test_roberta_counts_the_positions_of_real_words_itself(side):
    model = make_power(make_host("roberta", pad_token_id=1), **HARD)
    batch = padded(ragged_inputs(), side=side)
    batch["input_ids"][batch["attention_mask"] == 0] = 1
    explicit = model(**batch | {"position_ids": batch["position_ids"] + 2}).logits
    del batch["position_ids"]
    torch.testing.assert_close(model(**batch).logits, explicit, atol=1e-6, rtol=0)


def test_an_input_of_padding_alone_disturbs_no_other(power_bert, variant):
    model, batch = power_bert(**variant), padded(ragged_inputs())
    expected = model(**batch).logits
    batch["attention_mask"][1] = 0
    logits = model(**batch).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2, 3]], expected[[0, 2, 3]])


def test_gradient_of_a_retention_parameter_is_that_at_fixed_ranks(power_bert):
    model, batch = power_bert(**SOFT).double(), padded(ragged_inputs((6,)))
    r = model.soft_extract.retention_parameters
    model(**batch).logits[0, 0].backward()
    assert (r.grad[:, 6:] == 0).all()  # six words have six ordered positions
    step = 1e-6
    for j, k in [(0, 1), (1, 5), (2, 0)]:
        with torch.no_grad():
            r[j, k] += step
            above = model(**batch).logits[0, 0].item()
            r[j, k] -= 2 * step
            below = model(**batch).logits[0, 0].item()
            r[j, k] += step
        assert r.grad[j, k].item() == pytest.approx((above - below) / (2 * step), abs=1e-6)


@all_kinds
def test_gradients_reach_every_parameter(power_bert, fields):
    model = power_bert(**fields).train()
    model(**padded(ragged_inputs((9, 12))), labels=torch.tensor([0, 2])).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.endswith("key.bias") for name in without)  # softmax is blind to a shift of all its scores


@all_kinds
def test_bfloat16_autocast(power_bert, fields):
    model, batch = power_bert(**fields).train(), padded(ragged_inputs())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**batch, labels=torch.tensor([0, 2, 1, 1])).loss
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@all_kinds
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights(power_bert, fields, dtype):
    with torch.inference_mode():
        logits = power_bert(**fields).to(dtype)(**padded(ragged_inputs())).logits
    assert logits.dtype == dtype
    assert logits.isfinite().all()


@all_kinds
def test_compiles_into_one_graph(power_bert, fields):
    model, batch = power_bert(**fields), padded(ragged_inputs())
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits)


@all_kinds
def test_never_waits_for_the_device(power_bert, fields):
    """A tensor on the meta device has no values, so that reading one fails there."""
    batch = {key: value.to("meta") for key, value in padded(ragged_inputs()).items()}
    assert power_bert(**fields).to("meta")(**batch).logits.is_meta


def test_the_first_text_is_retained_before_all_others_but_cls(power_bert, side):
    inputs = [
        [2, *range(40, 46), 31, *range(5, 11), 31],
        [2, 50, 31, *range(6, 16), 31],
        [2, *range(5, 15), 50],
    ]
    batch = padded(inputs, side=side)
    found = retained_words(power_bert(**HARD, **FIRST_TEXT), batch)
    assert set(found[0][0]) > set(range(7))
    assert set(found[1][0]) < set(range(7))
    assert found[1][0][0] == found[2][0][0] == 0, "[CLS] stays"
    assert all({0, 1} <= set(encoder[1]) for encoder in found)
    assert [encoder[2] for encoder in found] == [
        encoder[2] for encoder in retained_words(power_bert(**HARD), batch)
    ]


def test_embeddings_do_not_tell_where_the_first_text_ends(power_bert):
    batch = padded(ragged_inputs())
    with pytest.raises(ValueError, match="protected_until"):
        power_bert(**HARD, **FIRST_TEXT)(inputs_embeds=torch.ones(*batch.pop("input_ids").shape, 32), **batch)
