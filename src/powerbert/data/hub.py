"""A dataset of the Hugging Face hub, or what an earlier run left of it in the hub's own cache."""

import logging
from functools import cached_property

from datasets import DatasetDict, load_dataset
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub import HfApi

from powerbert.base.errors import DataError
from powerbert.base.hub import PATIENCE, first_line, within

log = logging.getLogger(__name__)


class HubDataset:
    """One configuration of a hub dataset."""

    def __init__(self, repository: str, configuration: str | None = None):
        """Names the dataset; nothing is asked of the hub yet.

        Args:
            repository: such as `nyu-mll/glue`.
            configuration: such as `rte`; None for a repository that has only one.
        """
        self.repository = repository
        self.configuration = configuration

    @property
    def commit(self) -> str:
        """The commit that `load` gives: the hub's newest, or if it cannot be reached the cached one.

        Raises:
            DataError: if there is neither; within seconds.
        """
        return self._found[0]

    def require(self, missing: str, instead: str) -> None:
        """Makes sure, within seconds, that there is something to load.

        Args:
            missing: what was looked for before the hub, and not found.
            instead: what the user can do without the hub.

        Raises:
            DataError: with both, and with the datasets that need no hub.
        """
        try:
            _ = self.commit
        except DataError as error:
            raise DataError(
                f"{missing}, and {error}. Without the hub, {instead}, or choose dataset=snippets (movie "
                "reviews in a Python package) or dataset=folder dataset.source.path=<folder with train.tsv, "
                "dev.tsv>"
            ) from None

    def load(self) -> DatasetDict:
        """The dataset with the hub's own splits and columns.

        Returns:
            The splits, memory-mapped from the hub's cache.

        Raises:
            DataError: if it can be had neither from the hub nor from its cache.
        """
        _, online = self._found
        if not online:
            return DatasetDict(self._cached().as_dataset())
        try:
            return load_dataset(self.repository, self.configuration)
        except Exception as error:  # the clients raise exceptions of several HTTP libraries
            raise DataError(f"the hub's dataset {self} cannot be loaded ({first_line(error)})") from error

    @cached_property
    def _found(self) -> tuple[str, bool]:
        """The commit, and whether the hub answered."""
        try:
            return within(
                PATIENCE, lambda: str(HfApi().dataset_info(self.repository, timeout=PATIENCE).sha)
            ), True
        except Exception as unreachable:  # as in `load`
            try:
                commit = str(self._cached().hash)
            except (ValueError, OSError):
                raise DataError(
                    f"the hub's dataset {self} cannot be had ({first_line(unreachable)})"
                ) from None
        log.warning("%s: the hub does not answer; taking the copy of an earlier run", self)
        return commit, False

    def _cached(self) -> Cache:
        return Cache(
            repo_id=self.repository,
            dataset_name=self.repository.rpartition("/")[2],
            config_name=self.configuration,
            version="auto",
            hash="auto",
        )

    def __str__(self) -> str:
        return f"{self.repository}/{self.configuration}" if self.configuration else self.repository
