import pytest
from datasets import Dataset, concatenate_datasets
from transformers import BertTokenizer, ByT5Tokenizer

from powerbert.base.errors import DataError
from powerbert.data import load_texts, row_lengths, tokenize
from powerbert.data.tokenize import choose_max_length
from tests.data.conftest import make_task

PAIR = make_task(text_columns=("one", "two"))
CHOICE = make_task(kind="multiple_choice", text_columns=("article", "choices"), label_names=("A", "B"))


def pieces(tokenizer, ids):
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def test_single_texts(tokenizer, task):
    rows = Dataset.from_dict({"text": ["a b c", "", "a b c d e f g", "a b c d e f"], "label": [0, 1, 1, 0]})
    tokenised = tokenize(rows, task, tokenizer, max_length=8)
    assert [pieces(tokenizer, ids) for ids in tokenised["input_ids"]] == [
        "[CLS] a b c [SEP]",
        "[CLS] [SEP]",
        "[CLS] a b c d e f [SEP]",
        "[CLS] a b c d e f [SEP]",
    ]
    assert row_lengths(tokenised).tolist() == [5, 2, 9, 8]
    assert tokenised["label"][:] == [0, 1, 1, 0]
    assert set(tokenised.column_names) == {*tokenizer.model_input_names, "length", "label"}
    assert [len(mask) for mask in tokenised["attention_mask"]] == [5, 2, 8, 8]


def test_of_a_pair_the_longer_text_is_truncated_first(tokenizer):
    rows = Dataset.from_dict({"one": ["a b c d e f g", "a"], "two": ["good bad", "a b c d e f g"]})
    tokenised = tokenize(rows, PAIR, tokenizer, max_length=8)
    assert [pieces(tokenizer, ids) for ids in tokenised["input_ids"]] == [
        "[CLS] a b c [SEP] good bad [SEP]",
        "[CLS] a [SEP] a b c d [SEP]",
    ]
    assert tokenised["token_type_ids"][0] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert row_lengths(tokenised).tolist() == [12, 11]


def test_further_texts_are_joined_to_the_second_by_the_separator(tokenizer):
    rows = Dataset.from_dict({"title": ["a"], "body": ["b c"], "shop": ["d"]})
    task = make_task(text_columns=("title", "body", "shop"))
    encoded = tokenize(rows, task, tokenizer, 16)
    assert pieces(tokenizer, encoded[0]["input_ids"]) == "[CLS] a [SEP] b c [SEP] d [SEP]"
    assert encoded[0]["token_type_ids"] == [0] * 3 + [1] * 5


def test_lengths_are_those_of_the_rows_that_are_meant(tokenizer):
    """Whichever rows of whichever files they are."""
    texts = [{"one": ["a", "a b c"], "two": ["", "d"]}, {"one": ["a b"], "two": ["c d e"]}]
    parts = [tokenize(Dataset.from_dict(part), PAIR, tokenizer, max_length=16) for part in texts]
    both = concatenate_datasets(parts)
    assert row_lengths(both).tolist() == [4, 7, 8]
    assert row_lengths(both.select([2, 0])).tolist() == [8, 4]
    assert row_lengths(both.select([])).tolist() == []


def test_each_choice_is_its_own_sequence(tokenizer):
    rows = Dataset.from_dict({"article": ["a b c d e", "f"], "choices": [["good", "bad film"], ["", "plot"]]})
    tokenised = tokenize(rows, CHOICE, tokenizer, max_length=8)
    assert [[pieces(tokenizer, ids) for ids in choices] for choices in tokenised["input_ids"]] == [
        ["[CLS] a b c d [SEP] good [SEP]", "[CLS] a b c [SEP] bad film [SEP]"],
        ["[CLS] f [SEP] [SEP]", "[CLS] f [SEP] plot [SEP]"],
    ]
    assert row_lengths(tokenised).tolist() == [10, 5]


def test_truncation_equals_the_tokenizers_own(tokenizer):
    """Only rows that are too long are truncated one by one; the result is that of truncating all."""
    texts = [" ".join("abcdefg"[i % 7] for i in range(n)) for n in range(40)]
    rows = Dataset.from_dict({"one": texts, "two": texts[::-1]})
    tokenised = tokenize(rows, PAIR, tokenizer, max_length=20)
    expected = tokenizer(texts, texts[::-1], truncation="longest_first", max_length=20)
    assert tokenised["input_ids"][:] == expected["input_ids"]
    assert tokenised["token_type_ids"][:] == expected["token_type_ids"]


def test_settings_that_came_with_the_tokenizer_are_not_heeded(tokenizer, task):
    other = BertTokenizer(vocab=tokenizer.get_vocab())
    other.backend_tokenizer.enable_truncation(4)
    other.backend_tokenizer.enable_padding(length=16)
    rows = Dataset.from_dict({"text": ["a b c d", "a"]})
    assert [len(ids) for ids in tokenize(rows, task, other, max_length=8)["input_ids"]] == [6, 3]


def stored(rows, task, tokenizer, max_length):
    return [file["filename"] for file in tokenize(rows, task, tokenizer, max_length).cache_files]


def test_cache_is_reused_and_never_stale(tokenizer, task, tmp_path):
    def on_disk(name, texts):
        Dataset.from_dict({"text": texts}).save_to_disk(tmp_path / name)
        return Dataset.load_from_disk(tmp_path / name)

    rows = on_disk("rows", ["a b c d e f g", "a"])
    first = stored(rows, task, tokenizer, 8)
    assert stored(rows, task, tokenizer, 8) == first
    assert stored(rows, task, BertTokenizer(vocab=tokenizer.get_vocab()), 8) == first
    assert stored(rows, task, tokenizer, 6) != first
    vocabulary = {piece: index for index, piece in enumerate(reversed(tokenizer.get_vocab()))}
    assert stored(rows, task, BertTokenizer(vocab=vocabulary), 8) != first
    assert stored(on_disk("others", ["a b c d e f g", "b"]), task, tokenizer, 8) != first


def test_load_texts(task):
    assert load_texts(["good", ""], task)[:] == {"text": ["good", ""]}
    assert load_texts([("a", "b"), ["c", "d"]], PAIR)[:] == {"one": ["a", "c"], "two": ["b", "d"]}
    assert load_texts([("a", ["b", "c"])], CHOICE)[:] == {"article": ["a"], "choices": [["b", "c"]]}


@pytest.mark.parametrize(
    ("texts", "task", "message"),
    [
        ([("a", "b"), "c"], PAIR, r"text 2: has 1 part\(s\); 'reviews' takes 2 \(one, two\)"),
        ([("a", "b")], make_task(), r"text 1: has 2 part\(s\)"),
        ([("a", ["b"])], CHOICE, r"text 1: has 1 choices instead of 2"),
    ],
)
def test_texts_that_do_not_fit(texts, task, message):
    with pytest.raises(DataError, match=message):
        load_texts(texts, task)


def test_tokenizer_written_in_python(task):
    """Not every model's tokenizer has a fast backend; this one takes bytes."""
    rows = Dataset.from_dict({"text": ["abc", "a" * 20]})
    tokenised = tokenize(rows, task, ByT5Tokenizer(), max_length=8)
    assert [len(ids) for ids in tokenised["input_ids"]] == [4, 8]
    assert row_lengths(tokenised).tolist() == [4, 21]


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([10] * 99 + [500], 64),  # exactly 1% is longer
        ([10] * 98 + [500] * 2, 512),  # 2% would be
        ([10] * 98 + [200], 256),  # one of 99 is more than 1%
        (list(range(1, 1001)), 512),
        (list(range(1000, 0, -1)), 512),
        (list(range(1, 101)), 128),
        ([95] * 100, 64),  # 31 from 64, 33 from 128
        ([96] * 100, 128),  # as far from 64 as from 128
        ([192] * 100, 256),
        ([384] * 100, 512),
        ([383] * 100, 256),
        ([7], 64),
    ],
)
def test_length_rule(lengths, chosen):
    assert choose_max_length(lengths) == chosen


def test_model_that_takes_less():
    assert choose_max_length([400] * 100, longest=300) == 256
    assert choose_max_length([400] * 100, longest=48) == 48
