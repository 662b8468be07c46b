"""PoWER-BERT as the paper writes it: float64, one input, one head and one word at a time.

Written from sections 2.1 and 2.2 and from the definition of each host, to compare the package with; the two
share no code.
"""

import math
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import torch


class Reference(NamedTuple):
    """What a model should compute for one input.

    ``retained`` holds for each encoder the original positions of the real words that leave it.
    """

    logits: torch.Tensor
    retained: list[list[int]]


BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm": "output.LayerNorm",
}
ALBERT_LAYER = {
    "query": "attention.query",
    "key": "attention.key",
    "value": "attention.value",
    "attention": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "inner": "ffn",
    "outer": "ffn_output",
    "norm": "full_layer_layer_norm",
}
DISTILBERT_LAYER = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "inner": "ffn.lin1",
    "outer": "ffn.lin2",
    "norm": "output_layer_norm",
}


MPNET_LAYER = BERT_LAYER | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "attention": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
}


DEBERTA_LAYER = BERT_LAYER | {
    "query": "attention.self.query_proj",
    "key": "attention.self.key_proj",
    "value": "attention.self.value_proj",
}


def dot_product(weights, config, layer, head, query, key, distance):
    """The score that a head's query in some layer gives to a key so many places before it."""
    return float(query @ key) / math.sqrt(len(query))


def mpnet_score(weights, config, layer, head, query, key, distance):
    """A number for each head and bucket: 8 distances to either side alone, then wider and wider buckets."""
    half = config.relative_attention_num_buckets // 2
    exact, far = half // 2, abs(distance)
    wider = math.log(max(far, 1) / exact) / math.log(128 / exact) * (half - exact)
    bucket = far if far < exact else min(exact + int(wider), half - 1)
    table = weights["mpnet.encoder.relative_attention_bias.weight"]
    bias = float(table[bucket + (half if distance < 0 else 0), head])
    return dot_product(weights, config, layer, head, query, key, distance) + bias


def deberta_bucket(config, distance):
    """Half of the buckets hold one distance each, the others ever wider ranges of them."""
    buckets, longest = config.position_buckets, config.max_relative_positions  # -1 for none
    longest = config.max_position_embeddings if longest < 1 else longest
    if buckets > 0 and abs(distance) > buckets // 2:
        half = buckets // 2
        wider = math.log(abs(distance) / half) / math.log((longest - 1) / half) * (half - 1)
        distance = int(math.copysign(half + math.ceil(wider), distance))
    span = buckets if buckets > 0 else longest
    return min(max(distance + span, 0), 2 * span - 1)


def deberta_score(weights, config, layer, head, query, key, distance):
    """Content to content, content to position, position to content (He et al. 2021, equation 4)."""
    score, size = float(query @ key), len(query)
    place = None
    if config.relative_attention:
        place = weights["deberta.encoder.rel_embeddings.weight"][deberta_bucket(config, distance)]
        if getattr(config, "norm_rel_ebd", "none") == "layer_norm":
            norm = "deberta.encoder.LayerNorm"
            place = (place - place.mean()) / (place.var(correction=0) + config.layer_norm_eps).sqrt()
            place = weights[f"{norm}.weight"] * place + weights[f"{norm}.bias"]
    for kind, other, name in (("c2p", query, "key"), ("p2c", key, "query")):
        if place is not None and kind in config.pos_att_type:
            shared = getattr(config, "share_att_key", False)
            part = f"{layer}.attention.self.{'' if shared else 'pos_'}{name}_proj"
            projected = weights[f"{part}.weight"] @ place + weights[f"{part}.bias"]
            score += float(other @ projected.split(size)[head])
    return score / math.sqrt(size * (1 + len(config.pos_att_type or [])))


def gelu(x):
    return torch.tensor([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()], dtype=x.dtype)


def gelu_new(x):
    values = [0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in x.tolist()]
    return torch.tensor(values, dtype=x.dtype)


class Host(NamedTuple):
    """Under which names a host keeps its parameters, and what it does between them."""

    layer: str
    names: dict[str, str]
    activation: object
    head: list[tuple[str, object]]
    projection: str | None = None
    score: object = dot_product


BERT_LAYERS = "{host}.encoder.layer.{j}"
ROBERTA_HEAD = [("classifier.dense", torch.tanh), ("classifier.out_proj", None)]
HOSTS = {
    "bert": Host(BERT_LAYERS, BERT_LAYER, gelu, [("bert.pooler.dense", torch.tanh), ("classifier", None)]),
    "roberta": Host(BERT_LAYERS, BERT_LAYER, gelu, ROBERTA_HEAD),
    "mpnet": Host(BERT_LAYERS, MPNET_LAYER, gelu, ROBERTA_HEAD, score=mpnet_score),
    "deberta-v2": Host(
        BERT_LAYERS,
        DEBERTA_LAYER,
        gelu,
        [("pooler.dense", gelu), ("classifier", None)],
        score=deberta_score,
    ),
    "electra": Host(
        BERT_LAYERS,
        BERT_LAYER,
        gelu,
        [("classifier.dense", gelu), ("classifier.out_proj", None)],
        "electra.embeddings_project",
    ),
    "albert": Host(
        "{host}.encoder.albert_layer_groups.0.albert_layers.0",
        ALBERT_LAYER,
        gelu_new,
        [("albert.pooler", torch.tanh), ("classifier", None)],
        "albert.encoder.embedding_hidden_mapping_in",
    ),
    "distilbert": Host(
        "{host}.transformer.layer.{j}",
        DISTILBERT_LAYER,
        gelu,
        [("pre_classifier", torch.relu), ("classifier", None)],
    ),
}


def run_reference(model, input_ids, attention_mask, position_ids):
    """Run one input through a model's encoders, from nothing but its parameters and its config."""
    weights, config = model.double().state_dict(), model.config
    host = HOSTS[config.model_type.removeprefix("power_")]
    name = model.base_model_prefix
    heads = config.num_attention_heads
    size = config.hidden_size // heads
    real = [bool(flag) for flag in attention_mask]
    cls = real.index(True)
    first_text = range(input_ids.index(config.protected_until) if config.protected_until in input_ids else 0)
    r = weights.get(f"{name}.soft_extract.retention_parameters")
    theta = weights.get(f"{name}.soft_threshold.thresholds")

    def linear(part, x):
        return weights[f"{part}.weight"] @ x + weights[f"{part}.bias"]

    def layer_norm(part, x):
        mean = sum(x) / len(x)
        variance = sum((x - mean) ** 2) / len(x)
        eps = getattr(config, "layer_norm_eps", 1e-12)
        return weights[f"{part}.weight"] * (x - mean) / math.sqrt(variance + eps) + weights[f"{part}.bias"]

    def embed(w):
        embeddings = f"{name}.embeddings"
        total = weights[f"{embeddings}.word_embeddings.weight"][input_ids[w]]
        if (positions := weights.get(f"{embeddings}.position_embeddings.weight")) is not None:
            total = total + positions[position_ids[w]]
        if (types := weights.get(f"{embeddings}.token_type_embeddings.weight")) is not None:
            total = total + types[0]
        if (projection := weights.get(f"{embeddings}.embed_proj.weight")) is not None:  # DeBERTa
            total = projection @ total
        embedded = layer_norm(f"{embeddings}.LayerNorm", total)
        return embedded if host.projection is None else linear(host.projection, embedded)

    def attention_row(layer, h, place, query, keys):
        """The attention that a head's query at some place pays to each key, as probabilities."""
        score = partial(host.score, weights, config, layer, h, query)
        exponentials = {w: math.exp(score(key, place - w)) for w, key in keys.items()}
        return {w: value / sum(exponentials.values()) for w, value in exponentials.items()}

    def order(significance):
        """All words by decreasing significance, those of a protected first text first, padding last."""
        ordered = sorted((w for w in words if real[w]), key=lambda w: (w not in first_text, -significance[w]))
        if r is None or config.soft_extract_protects_cls:
            ordered.remove(cls)
            ordered.insert(0, cls)
        return ordered + [w for w in words if not real[w]]

    def selected_positions(j):
        """The positions that static selection retains at encoder j, counted from [CLS]."""
        count = config.retention_configuration[j]
        return range(count) if config.selection == "head" else config.selection_order[:count]

    def retained_number(j):
        """How many words encoder j retains of this input."""
        if config.retention_configuration is not None:
            return config.retention_configuration[j]
        if config.retention_shares is None:
            return len(input_ids)
        return max(1, math.ceil(Fraction(round(10_000 * config.retention_shares[j]), 10_000) * sum(real)))

    def scale(j, place):
        """The retention parameter of an ordered position, from 0, or of its bin."""
        if config.soft_extract_bins is None:
            return r[j, place]
        return 1.0 if place == 0 else r[j, min(place * r.shape[1] // sum(real), r.shape[1] - 1)]

    words = list(range(len(input_ids)))
    x = {w: embed(w) for w in words}
    retained = []
    for j in range(config.num_hidden_layers):
        prefix = host.layer.format(host=name, j=j)
        layer = {key: f"{prefix}.{part}" for key, part in host.names.items()}
        q, k, v = (
            {w: linear(layer[key], x[w]).split(size) for w in words} for key in ("query", "key", "value")
        )
        significance = dict.fromkeys(words, 0.0)
        z = {w: [] for w in words}
        for h in range(heads):
            for query in words:
                keys = {w: k[w][h] for w in words if real[w]}
                row = attention_row(prefix, h, query, q[query][h], keys)
                z[query].append(sum(a * v[w][h] for w, a in row.items()))
                for w, a in row.items():
                    counts = real[query] or config.significance_pad_queries
                    counts = counts and (w != query or config.significance_diagonal)
                    if query == cls if config.significance == "cls" else counts:
                        significance[w] += a

        ordered = order(significance)
        score = {w: significance[w] / (heads * sum(real)) for w in words}
        if config.retention_thresholds is not None:
            above = {w for w in words if score[w] >= config.retention_thresholds[j]}
            words = [w for w in words if real[w] and (w == cls or w in above)]
        elif r is None and theta is None and config.selection == "attn":
            words = sorted(ordered[: retained_number(j)])
        elif r is None and theta is None:
            index = {w: sum(real[:w]) for w in words if real[w]}
            words = [w for w in words if real[w] and index[w] in selected_positions(j)]
        last = j == config.num_hidden_layers - 1
        alone = config.cls_alone and last and (r is None or config.soft_extract_protects_cls)
        leaving = [cls] if alone else words
        retained.append([w for w in leaving if real[w]])

        for w in words:
            attended = linear(layer["attention"], torch.cat(z[w])) + x[w]
            attended = layer_norm(layer["attention_norm"], attended)
            if r is not None:
                attended = scale(j, ordered.index(w)) * attended
            inner = host.activation(linear(layer["inner"], attended))
            x[w] = layer_norm(layer["norm"], linear(layer["outer"], inner) + attended)
            if theta is not None and w != cls:
                exponent = (score[w] - float(theta[j])) / config.soft_threshold_temperature
                x[w] = x[w] / (1 + math.exp(-exponent))
        x = {w: x[w] for w in words}

    logits = x[cls]
    for part, activation in host.head:
        logits = linear(part, logits)
        logits = logits if activation is None else activation(logits)
    return Reference(logits, retained)
