import math

import pandas as pd
import pytest
import torch

from powerbert.analyse.cosine import mean_pairwise_cosine, run, similarity_by_encoder, summarise
from powerbert.predict.subject import Subject
from tests.fixtures import ROWS


def double_loop(word_vectors: torch.Tensor) -> float:
    """The mean over all pairs of one input, [n, D], from the definition."""
    total, pairs = 0.0, 0
    for i in range(len(word_vectors)):
        for j in range(i):
            a, b = word_vectors[i].double(), word_vectors[j].double()
            total += float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
            pairs += 1
    return total / pairs


def test_mean_pairwise_cosine_is_the_double_loop_over_real_words():
    word_vectors = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(0))
    word_vectors[:, -1] = 1e6  # would show if padding counted
    mask = torch.zeros(4, 9, dtype=torch.bool)
    for row, count in enumerate((8, 2, 5, 3)):
        mask[row, :count] = True
    result = mean_pairwise_cosine(word_vectors, mask)
    for row in range(4):
        assert result[row].item() == pytest.approx(double_loop(word_vectors[row, mask[row]]), abs=1e-6)
    flipped = mean_pairwise_cosine(word_vectors.flip(1), mask.flip(1))
    torch.testing.assert_close(flipped, result)


def test_an_input_of_one_word_has_no_pair_and_is_not_counted():
    word_vectors = torch.eye(3).expand(2, 3, 3)
    mask = torch.tensor([[True, False, False], [True, True, False]])
    assert mean_pairwise_cosine(word_vectors, mask).isnan().tolist() == [True, False]
    table = summarise(torch.tensor([[math.nan, 0.2, 0.6], [math.nan, math.nan, math.nan]]))
    assert table["cosine_similarity"][0] == pytest.approx(0.4)
    assert table["standard_deviation"][0] == pytest.approx(0.2)
    assert table["inputs"].tolist() == [2, 0]


def test_every_input_counts_equally_and_padding_does_not(subject, tmp_path):
    table = run(subject, tmp_path)
    sums = torch.zeros(3)
    for text in subject.sample()["text"]:
        inputs = subject.predictor.tokenizer(text, truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            hidden_states = subject.model(**inputs, output_hidden_states=True).hidden_states[1:]
        sums += torch.tensor([double_loop(states[0]) for states in hidden_states])
    assert table["cosine_similarity"].tolist() == pytest.approx((sums / ROWS).tolist(), abs=1e-5)
    assert table["inputs"].tolist() == [ROWS] * 3
    assert {path.suffix for path in tmp_path.glob("cosine.*")} == {".png", ".svg", ".csv"}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cosine.csv"), table, rtol=1e-4, check_dtype=False)


def test_an_eliminating_model_has_fewer_word_vectors(retrained, subject):
    eliminating = Subject(str(retrained), batch_size=4)
    similarities, host = similarity_by_encoder(eliminating), similarity_by_encoder(subject)
    assert similarities[2].isnan().all(), "one word-vector is left, so there is no pair"
    assert not similarities[:2].isnan().any()
    short = similarities.shape[1] - 3  # longest first; the last inputs have too few words to lose any
    torch.testing.assert_close(similarities[:2, short:], host[:2, short:])
    assert (similarities[0] - host[0]).abs().max() > 1e-3
