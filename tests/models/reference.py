"""PoWER-BERT as the paper writes it: float64, one input, one head and one word at a time.

Written from sections 2.1 and 2.2 and from the definition of BERT, to compare the package with; the two share
no code.
"""

import math
from typing import NamedTuple

import torch


class Reference(NamedTuple):
    """What a model should compute for one input.

    ``retained`` holds for each encoder the original positions of the words that leave it, padding included.
    """

    logits: torch.Tensor
    retained: list[list[int]]


def run_reference(model, input_ids, attention_mask, position_ids):
    """Run one input through a model's encoders, from nothing but its parameters and its config."""
    weights, config = model.double().state_dict(), model.config
    layer_norm_eps, heads = config.layer_norm_eps, config.num_attention_heads
    size = config.hidden_size // heads
    real = [bool(flag) for flag in attention_mask]
    cls = real.index(True)
    r = weights.get("bert.soft_extract.retention_parameters")

    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def layer_norm(name, x):
        mean = sum(x) / len(x)
        variance = sum((x - mean) ** 2) / len(x)
        return (
            weights[f"{name}.weight"] * (x - mean) / math.sqrt(variance + layer_norm_eps)
            + weights[f"{name}.bias"]
        )

    def gelu(x):
        return torch.tensor([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()], dtype=x.dtype)

    def embed(w):
        embeddings = "bert.embeddings"
        total = weights[f"{embeddings}.word_embeddings.weight"][input_ids[w]]
        total = total + weights[f"{embeddings}.position_embeddings.weight"][position_ids[w]]
        total = total + weights[f"{embeddings}.token_type_embeddings.weight"][0]
        return layer_norm(f"{embeddings}.LayerNorm", total)

    def attention_row(query, keys):
        """The attention that one query pays to each real word, as probabilities."""
        exponentials = {
            w: math.exp(float(query @ key) / math.sqrt(size)) for w, key in keys.items() if real[w]
        }
        return {w: value / sum(exponentials.values()) for w, value in exponentials.items()}

    words = list(range(len(input_ids)))
    x = {w: embed(w) for w in words}
    retained = []
    for j in range(config.num_hidden_layers):
        layer = f"bert.encoder.layer.{j}"
        q, k, v = (
            {w: linear(f"{layer}.attention.self.{name}", x[w]).split(size) for w in words}
            for name in ("query", "key", "value")
        )
        significance = dict.fromkeys(words, 0.0)
        z = {w: [] for w in words}
        for h in range(heads):
            for query in words:
                row = attention_row(q[query][h], {w: k[w][h] for w in words})
                z[query].append(sum(a * v[w][h] for w, a in row.items()))
                for w, a in row.items():
                    counts = real[query] or config.significance_pad_queries
                    if counts and (w != query or config.significance_diagonal):
                        significance[w] += a

        ordered = sorted((w for w in words if real[w]), key=lambda w: -significance[w])
        if r is None or config.soft_extract_protects_cls:
            ordered.remove(cls)
            ordered.insert(0, cls)
        ordered += [w for w in words if not real[w]]
        if r is None:
            words = sorted(ordered[: config.retention_configuration[j]])
        retained.append(words)

        for w in words:
            attended = linear(f"{layer}.attention.output.dense", torch.cat(z[w])) + x[w]
            attended = layer_norm(f"{layer}.attention.output.LayerNorm", attended)
            if r is not None:
                attended = r[j, ordered.index(w)] * attended
            inner = gelu(linear(f"{layer}.intermediate.dense", attended))
            x[w] = layer_norm(f"{layer}.output.LayerNorm", linear(f"{layer}.output.dense", inner) + attended)
        x = {w: x[w] for w in words}

    pooled = torch.tanh(linear("bert.pooler.dense", x[cls]))
    return Reference(linear("classifier", pooled), retained)
