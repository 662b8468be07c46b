import torch

from powerbert.elimination import extract_mask, extract_rows

POSITIONS = torch.tensor([[0, 2, 3], [1, 2, 4]])


def test_word_vectors_and_mask_are_taken_from_the_same_positions():
    hidden = torch.arange(2 * 5 * 4).view(2, 5, 4).float()
    mask = torch.tensor([[True, False, True, False, True], [False, True, False, False, True]])
    retained, retained_mask = extract_rows(hidden, POSITIONS), extract_mask(mask, POSITIONS)
    for b in range(2):
        for k, position in enumerate(POSITIONS[b]):
            assert torch.equal(retained[b, k], hidden[b, position])
            assert retained_mask[b, k] == mask[b, position]


def test_query_rows_are_taken_from_every_head():
    attention = torch.rand(2, 3, 5, 5)
    retained = extract_rows(attention, POSITIONS.unsqueeze(1))
    assert retained.shape == (2, 3, 3, 5)
    for b in range(2):
        for h in range(3):
            assert torch.equal(retained[b, h], attention[b, h, POSITIONS[b]])


def test_rows_of_a_transposed_tensor():
    hidden = torch.rand(2, 4, 5).transpose(1, 2)
    assert torch.equal(extract_rows(hidden, POSITIONS)[1], hidden[1, POSITIONS[1]])


def test_gradient_reaches_the_retained_rows_only():
    hidden = torch.rand(2, 5, 4, requires_grad=True)
    extract_rows(hidden, POSITIONS).sum().backward()
    expected = torch.zeros(2, 5, 4)
    expected[0, [0, 2, 3]] = 1.0
    expected[1, [1, 2, 4]] = 1.0
    assert torch.equal(hidden.grad, expected)
