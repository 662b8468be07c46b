"""What every dataset family offers."""

from typing import Protocol

from datasets import DatasetDict


class Source(Protocol):
    """Where the rows of a dataset come from; made by Hydra from `dataset.source`."""

    def available(self) -> None:
        """Makes sure, quickly, that there is something to load.

        Raises:
            DataError: saying what was missing and what to do.
        """

    def fingerprint(self) -> str:
        """Names the content: other rows, other name.

        Raises:
            DataError: if there is nothing to name.
        """
        ...

    def load(self) -> DatasetDict:
        """The splits that exist of train, dev and test.

        Returns:
            Each with the task's text columns and, where labelled, `label`: the class index, or a number.

        Raises:
            DataError: naming file and row, for whatever is not as it should be.
        """
        ...
