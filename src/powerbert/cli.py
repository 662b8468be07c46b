"""What every entry point shares: Hydra's key=value command line, and errors for people."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from powerbert.errors import UserError

log = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent / "conf"
CONFIG_FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The yaml tree: inside an installed package, or at the top of a checkout."""


def entry_point(task: Callable[[DictConfig], object], config_name: str) -> None:
    """Runs `task` on the configuration that the command line composes; exits non-zero when it failed.

    A `UserError` is printed as one message without a traceback. In a multirun the other points still
    run; those that failed are listed at the end.

    Args:
        task: takes the composed configuration.
        config_name: the primary yaml under `conf/`.
    """
    failures: list[str] = []
    sweeping = False

    def guarded(cfg: DictConfig) -> object:
        nonlocal sweeping
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            return task(cfg)
        except Exception as error:
            if not sweeping:
                if not isinstance(error, UserError):
                    raise
                log.error("error: %s", error)
                failures.append(str(error))
                return None
            log.error("error: %s", error, exc_info=not isinstance(error, UserError))
            failures.append(f"{' '.join(HydraConfig.get().overrides.task)}: {error}")
            return None

    hydra.main(version_base="1.3", config_path=str(CONFIG_FOLDER), config_name=config_name)(guarded)()
    if failures:
        if sweeping:
            print(f"{len(failures)} point(s) of the sweep failed:", *failures, sep="\n  ", file=sys.stderr)
        sys.exit(1)


def quote_values(names: set[str], argv: list[str]) -> list[str]:
    """Quotes the values of free-text arguments, so that Hydra's grammar takes any character in them.

    `text=It's great, really!` becomes `text="It's great, really!"`; a value that is already quoted
    is left alone.

    Args:
        names: the keys whose values are plain text.
        argv: the command line's arguments.

    Returns:
        The arguments with those values quoted.
    """
    quoted = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        if equals and key in names and value and value[0] not in "\"'":
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            argument = f'{key}="{escaped}"'
        quoted.append(argument)
    return quoted
