"""A fine-tuning that nothing disturbs."""

import pytest

from tests.stages.trainings import finetune


@pytest.fixture(scope="session")
def undisturbed(corpus, tmp_path_factory):
    return finetune(corpus, tmp_path_factory.mktemp("undisturbed"))
