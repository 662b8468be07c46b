import pytest

from .artifacts import folder_dataset, make_artifacts


@pytest.fixture(scope="session")
def artifacts(tiny_checkpoint, tokenizer, corpus, tmp_path_factory):
    """The folders of a fine-tuned model and of one made from it that eliminates word-vectors; read only."""
    root = tmp_path_factory.mktemp("artifacts")
    dataset = folder_dataset(corpus, tmp_path_factory.mktemp("cache"))
    return make_artifacts(root, tiny_checkpoint, tokenizer, dataset, retention_configuration=[9, 5, 2])
