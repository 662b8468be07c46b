"""What every entry point shares: Hydra's key=value command line, and errors for people."""

import logging
import re
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig

from powerbert.errors import UserError, find_user_error

log = logging.getLogger(__name__)

_PACKAGED = Path(__file__).parent / "conf"
CONFIG_FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The yaml tree: inside an installed package, or at the top of a checkout."""

_QUOTED = re.compile(r"""(["'])(\\.|(?!\1)[^\\])*\1""", re.DOTALL)


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
        except Exception as raised:
            error = find_user_error(raised) or raised
            if not sweeping and not isinstance(error, UserError):
                raise
            _report(error)
            failures.append(f"{' '.join(HydraConfig.get().overrides.task)}: {error}")
            return None

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIG_FOLDER), config_name=config_name)(guarded)()
    finally:
        if failures and sweeping:
            print(f"{len(failures)} point(s) of the sweep failed:", *failures, sep="\n  ", file=sys.stderr)
    if failures:
        sys.exit(1)


@contextmanager
def one_message() -> Iterator[None]:
    """For sweepers: a `UserError` is printed as one message, and the process ends with status 1.

    Hydra would print a traceback, as it does for anything that a sweeper raises.
    """
    try:
        yield
    except UserError as error:
        _report(error)
        sys.exit(1)


def quote_values(names: set[str], argv: list[str], or_grammar: Set[str] = frozenset()) -> list[str]:
    """Quotes the values of free-text arguments, so that Hydra's grammar takes any character in them.

    `text=It's great, really!` becomes `text="It's great, really!"`; a value that is already quoted
    is left alone.

    Args:
        names: the keys whose values are plain text.
        argv: the command line's arguments.
        or_grammar: the keys whose values are plain text, or in Hydra's grammar a list `[a,b]` or `null`.

    Returns:
        The arguments with those values quoted.
    """
    quoted = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        text = key in names or (key in or_grammar and value != "null" and not value.startswith("["))
        if equals and text and value and not _QUOTED.fullmatch(value):
            argument = f"{key}={_quote(value)}"
        quoted.append(argument)
    return quoted


def list_values(names: Set[str], argv: list[str]) -> list[str]:
    """Turns `key=a,b` into `key=[a,b]`: Hydra would take the former for a sweep.

    Args:
        names: the keys that take several values.
        argv: the command line's arguments.

    Returns:
        The arguments with those values as lists; a value that is a list already, or but one, stays.
    """
    listed = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        several = key in names and "," in value and not value.startswith("[")
        listed.append(f"{key}{equals}[{value}]" if several else argument)
    return listed


def _quote(text: str) -> str:
    # OmegaConf would take "${" for an interpolation; backslashes before it are escapes too
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return QuotedString(literal, Quote.double).with_quotes()


def _report(error: Exception) -> None:
    """Writes an error to standard error and, where there is one, to the run's log file."""
    traceback = None if isinstance(error, UserError) else (type(error), error, error.__traceback__)
    record = log.makeRecord(log.name, logging.ERROR, __file__, 0, "error: %s", (error,), traceback)
    files = (handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler))
    handlers: list[logging.Handler] = [logging.StreamHandler(), *files]
    for handler in handlers:
        handler.handle(record)
