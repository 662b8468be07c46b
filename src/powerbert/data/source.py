"""What every dataset family offers."""

from pathlib import Path
from typing import Any, Protocol

from datasets import DatasetDict
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER

SOURCE_PLACES = frozenset({"archive", "cache", "folder"})
"""Settings of a data source that say where its files lie."""


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


def packaged_source(name: str, cache: Path) -> dict[str, Any]:
    """Read where a dataset of `conf/dataset` comes from, outside a composed configuration.

    Args:
        cache: folder for what has to be fetched.

    Returns:
        The node `source`, resolved; empty if there is no such yaml.
    """
    yamls = {path.stem: path for path in (CONFIG_FOLDER / "dataset").glob("*.yaml")}
    if name not in yamls:
        return {}
    cfg = OmegaConf.create({"paths": {"cache": str(cache)}, "dataset": OmegaConf.load(yamls[name])})
    return OmegaConf.to_container(cfg, resolve=True)["dataset"]["source"]  # type: ignore[index, call-overload, return-value]
