"""ModernBERT: norm before attention, rotary positions, encoders of near words that do not eliminate."""

import math

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from powerbert.base.errors import ConfigError
from powerbert.models import classify, embed, host_encoders, load_power_model, prune_heads, take_encoders
from powerbert.models.encoder import encode

from .backbones import make_host, make_power
from .batches import padded, ragged_inputs

LENGTHS = (9, 1, 20, 4)
FIELDS = {
    "[CLS] alone": {"cls_alone": True},
    "hard": {"retention_configuration": [12, 12, 3]},
    "hard, [CLS] in the end": {"retention_configuration": [7, 7, 1]},
    "released": {"retention_configuration": [8, 8, 3], "significance_diagonal": False},
    "by [CLS]": {"retention_configuration": [8, 8, 3], "significance": "cls"},
    "head": {"retention_configuration": [8, 8, 3], "selection": "head"},
    "shares": {"retention_shares": [0.6, 0.6, 0.3]},
    "shares, [CLS] in the end": {"retention_shares": [0.6, 0.6, 0.0]},
    "soft": {"soft_extract_length": 20},
    "bins": {"soft_extract_bins": 6},
    "thresholds": {"retention_thresholds": [0.08, 0.0, 0.1]},
    "soft thresholds": {"soft_threshold_temperature": 0.02},
}


@pytest.fixture(scope="module")
def host():
    return make_host("modernbert")


@pytest.fixture(params=FIELDS.values(), ids=FIELDS.keys())
def model(request, host):
    return make_power(host, **request.param)


def reference(model, input_ids):
    """One input without padding, from the parameters alone: logits, and what each encoder retains."""
    w, config = model.double().state_dict(), model.config
    heads, hidden = config.num_attention_heads, config.hidden_size
    size = hidden // heads
    r, theta = w.get("model.soft_extract.retention_parameters"), w.get("model.soft_threshold.thresholds")

    def linear(part, x):
        return F.linear(x, w[f"{part}.weight"], w.get(f"{part}.bias"))

    def norm(part, x):
        return F.layer_norm(x, (hidden,), w[f"{part}.weight"], w.get(f"{part}.bias"), config.norm_eps)

    def turn(x, place, kind):
        base = config.rope_parameters[kind]["rope_theta"]
        turned = x.clone()
        for i in range(size // 2):
            angle = place * base ** (-2 * i / size)
            a, b = x[i], x[i + size // 2]
            turned[i] = a * math.cos(angle) - b * math.sin(angle)
            turned[i + size // 2] = b * math.cos(angle) + a * math.sin(angle)
        return turned

    n = len(input_ids)
    x = {
        p: norm("model.embeddings.norm", w["model.embeddings.tok_embeddings.weight"][i])
        for p, i in enumerate(input_ids)
    }
    retained = []
    for j, kind in enumerate(config.layer_types):
        layer, can = f"model.layers.{j}", kind == "full_attention"
        given = {p: norm(f"{layer}.attn_norm", v) if j else v for p, v in x.items()}
        split = {p: linear(f"{layer}.attn.Wqkv", v).view(3, heads, size) for p, v in given.items()}
        significance, z = dict.fromkeys(x, 0.0), {}
        for p in x:
            near = [o for o in x if can or abs(o - p) <= config.local_attention // 2]
            z[p] = torch.zeros(heads, size, dtype=torch.double)
            for h in range(heads):
                query = turn(split[p][0, h], p, kind)
                scores = torch.stack([query @ turn(split[o][1, h], o, kind) for o in near]) / math.sqrt(size)
                for o, a in zip(near, scores.softmax(0).tolist(), strict=True):
                    z[p][h] += a * split[o][2, h]
                    own = o != p or config.significance_diagonal
                    if p == 0 if config.significance == "cls" else own:
                        significance[o] += a
        ranked = [0, *sorted(set(x) - {0}, key=lambda p: -significance[p])]
        score = {p: significance[p] / (heads * n) for p in x}
        k = len(x)
        if config.retention_configuration is not None:
            k = config.retention_configuration[j]
        if config.retention_shares is not None and can:
            k = max(1, math.ceil(round(config.retention_shares[j] * 10_000) * n / 10_000))
        kept = sorted(ranked[:k]) if config.selection == "attn" else sorted(x)[:k]
        if config.retention_thresholds is not None and can:
            kept = [p for p in x if p == 0 or score[p] >= config.retention_thresholds[j]]
        if config.cls_alone and j == len(config.layer_types) - 1:
            kept = [0]
        retained.append(kept)
        after = {}
        for p in kept:
            attended = x[p] + linear(f"{layer}.attn.Wo", z[p].flatten())
            if r is not None and can:
                place = ranked.index(p)
                bins = config.soft_extract_bins
                column = place if bins is None else min(place * bins // n, bins - 1)
                attended = attended * (1.0 if bins and place == 0 else r[j, column])
            values, gate = linear(f"{layer}.mlp.Wi", norm(f"{layer}.mlp_norm", attended)).chunk(2)
            after[p] = attended + linear(f"{layer}.mlp.Wo", F.gelu(values) * gate)
            if theta is not None and can and p != 0:
                after[p] = after[p] * torch.sigmoid((score[p] - theta[j]) / config.soft_threshold_temperature)
        x = after
    cls = norm("model.final_norm", x[0])
    return linear("classifier", norm("head.norm", F.gelu(linear("head.dense", cls)))), retained


def test_agrees_with_the_reference(model):
    inputs = ragged_inputs(LENGTHS)
    model = model.double()
    batch = padded(inputs)
    logits, retained = model(**batch).logits, model.retained_word_vectors(**batch)
    for b, words in enumerate(inputs):
        expected, positions = reference(model, words)
        torch.testing.assert_close(logits[b], expected, atol=1e-6, rtol=0)  # angles are in float32
        assert [row.positions[b][row.mask[b]].tolist() for row in retained] == positions


def test_without_elimination_it_is_the_host(host):
    batch = padded(ragged_inputs(LENGTHS))
    expected = host(**batch).logits
    for fields in ({"cls_alone": True}, {"retention_configuration": [20] * 3}):
        torch.testing.assert_close(make_power(host, **fields)(**batch).logits, expected, atol=1e-5, rtol=0)
    hidden, mask = embed(host, input_ids=batch["input_ids"]), batch["attention_mask"].bool()
    for encoder in host_encoders(host):
        hidden = encode(encoder, hidden, mask)
    torch.testing.assert_close(classify(host, hidden, mask), expected, atol=1e-5, rtol=0)


def test_logits_do_not_depend_on_padding_nor_on_neighbours(model):
    inputs = ragged_inputs(LENGTHS)
    alone = torch.cat([model(**padded([words])).logits for words in inputs])
    for side in ("right", "left"):
        torch.testing.assert_close(model(**padded(inputs, 20, side)).logits, alone, atol=1e-5, rtol=0)


def test_is_saved_and_loaded(model, tmp_path):
    batch = padded(ragged_inputs(LENGTHS))
    model.save_pretrained(tmp_path)
    for loaded in (AutoModelForSequenceClassification.from_pretrained(tmp_path), load_power_model(tmp_path)):
        torch.testing.assert_close(loaded(**batch).logits, model(**batch).logits)


def test_what_an_encoder_that_sees_near_words_retains_is_what_it_is_given(host):
    for field, values in (("retention_configuration", [9, 5, 3]), ("retention_shares", [0.9, 0.5, 0.3])):
        with pytest.raises(
            ConfigError, match=rf"{field}, encoder 2: 0?.?5 must be 0?.?9, .* encoders 1, 3 can"
        ):
            make_power(host, **{field: values})
    soft = make_power(host, soft_extract_length=20).soft_extract
    assert soft.mass()[1] == soft.mass()[0] != soft.mass()[2]
    assert soft.shares()[1] == soft.shares()[0]


def test_a_classifier_that_reads_the_mean_of_all_words_is_refused():
    host = make_host("modernbert", classifier_pooling="mean")
    batch = padded(ragged_inputs(LENGTHS))
    torch.testing.assert_close(make_power(host)(**batch).logits, host(**batch).logits)
    with pytest.raises(ConfigError, match=r"classifier_pooling: 'mean' .* elimination needs 'cls'"):
        make_power(host, retention_configuration=[9, 9, 3])


def test_fewer_encoders_and_heads():
    batch = padded(ragged_inputs(LENGTHS))
    fewer = take_encoders(make_host("modernbert"), [0, 2])
    assert fewer.config.layer_types == ["full_attention", "full_attention"]
    assert fewer(**batch).logits.isfinite().all()
    host = make_host("modernbert")
    pruned = prune_heads(host, [[0, 2], [1], [0, 1, 3]])
    assert [encoder.heads for encoder in host_encoders(pruned)] == [2, 1, 3]
    for encoder, kept in zip(host_encoders(host), ([0, 2], [1], [0, 1, 3]), strict=True):
        mask = torch.zeros(4)
        mask[kept] = 1
        encoder.output_projection.weight.data *= mask.repeat_interleave(8)
    torch.testing.assert_close(pruned(**batch).logits, host(**batch).logits, atol=1e-5, rtol=0)
