"""Inputs recombined of two."""

import pytest
import torch

from powerbert.data import recombine


def real_rows(batch):
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


@pytest.mark.parametrize("side", ["right", "left"])
def test_each_input_begins_as_itself_and_ends_as_another(side):
    torch.manual_seed(0)
    ids = [[1, *range(100 * row, 100 * row + length), 2] for row, length in ((1, 3), (2, 7), (3, 12), (4, 1))]
    width = max(map(len, ids))
    batch = {name: torch.zeros(4, width, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    for row, own in enumerate(ids):
        place = slice(0, len(own)) if side == "right" else slice(width - len(own), None)
        batch["input_ids"][row, place] = torch.tensor(own)
        batch["attention_mask"][row, place] = 1
    seen = set()
    for _ in range(50):
        found = recombine(batch | {"labels": torch.zeros(4)}, pad_token_id=0)
        assert set(found) == {"input_ids", "attention_mask"}
        assert found["input_ids"][found["attention_mask"] == 0].eq(0).all()
        edge = found["attention_mask"][:, 0 if side == "right" else -1]
        assert edge.all()
        for row, new in enumerate(real_rows(found)):
            assert 2 <= len(new) <= width
            assert (new[0], new[-1]) == (1, 2)
            assert any(
                new == own[:cut] + other[end:]
                for own in [ids[row]]
                for other in ids
                for cut in range(1, len(own))
                for end in range(1, len(other))
            )
            seen.add(tuple(new))
    assert len(seen) > 100


def test_other_tensors_of_word_pieces_and_choices_follow():
    torch.manual_seed(0)
    ids = torch.randint(5, 90, (3, 2, 9))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": ids * 2}
    found = recombine(batch, pad_token_id=0)
    assert found["input_ids"].shape == ids.shape
    assert torch.equal(found["token_type_ids"], found["input_ids"] * 2)


def test_as_many_labels_as_word_pieces_are_not_recombined():
    words = torch.arange(5, 25).view(4, 5)
    batch = {"input_ids": words, "attention_mask": torch.ones_like(words), "labels": torch.ones(4, 5)}
    assert set(recombine(batch, 0)) == {"input_ids", "attention_mask"}
