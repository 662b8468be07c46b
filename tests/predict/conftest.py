import pytest

from tests.fixtures import corpus, dataset, finetuned, make_artifact, retrained, subject  # noqa: F401
from tests.untrained import dataset_settings, untrained_artifact


@pytest.fixture(scope="session")
def artifact(tiny_checkpoint, tokenizer, tmp_path_factory):
    """Make the untrained artifact of a dataset; its manifest names a GLUE_DIR that is gone."""
    root = tmp_path_factory.mktemp("artifacts")

    def make(name):
        settings = dataset_settings(name, root / "cache")
        if "folder" in settings["source"]:
            settings["source"]["folder"] = "/gone"
        return untrained_artifact(root, tiny_checkpoint, tokenizer, settings)

    return make
