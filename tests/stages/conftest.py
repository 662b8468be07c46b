"""A fine-tuning that nothing disturbs, and those that something does."""

import pytest

from powerbert.base.interrupt import interruptible
from tests.stages.trainings import at, finetune


@pytest.fixture(scope="session")
def undisturbed(corpus, tmp_path_factory):
    return finetune(corpus, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def disturbed(corpus, tmp_path):
    """Fine-tune while something `happens` at a call of a hook; return the error that it ends with."""

    def run(error, hook, call, happens, *more, runs=tmp_path):
        with pytest.MonkeyPatch.context() as patch:
            at(patch, hook, call, happens)
            with pytest.raises(error) as raised, interruptible():
                finetune(corpus, runs, *more)
        return raised.value

    return run
