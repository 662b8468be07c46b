"""The command line of every entry point: Hydra's key=value grammar, and errors in one message."""

import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from powerbert.base.errors import ConfigError, UserError, find_storage_error, find_user_error, printable
from powerbert.base.interrupt import Interrupted, interruptible

log = logging.getLogger(__name__)
warnings.filterwarnings(  # the files of these names are whole, but Hydra takes the plugins' for their schemas
    "ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema"
)

_PACKAGED = Path(__file__).parents[1] / "conf"
CONFIG_FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "conf"
"""The yaml tree: inside an installed package, or at the top of a checkout."""

_QUOTED = re.compile(r"""(["'])(\\.|(?!\1)[^\\])*\1""", re.DOTALL)


def entry_point(
    task: Callable[[DictConfig], object],
    config_name: str,
    failed_elsewhere: Callable[[], list[str]] = lambda: [],
) -> None:
    """Run `task` on the configuration that the command line composes; exit with status 1 if it failed.

    A `UserError`, an override that does not compose and a full or read-only disk are printed as one message
    without a traceback; HYDRA_FULL_ERROR=1 shows the traceback of the second. The run's log file has every
    error. In a multirun the other points still run; those that failed are listed at the end, in whichever
    process they ran. SIGINT and SIGTERM end the process with one message and exit status 130 and 143.

    Args:
        config_name: the primary yaml under `conf/`.
        failed_elsewhere: lists a sweep's failed points that ran in other processes, one line each.
    """
    failures: list[str] = []
    sweeping = False
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them

    def guarded(cfg: DictConfig) -> object:
        nonlocal sweeping
        sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
        logging.captureWarnings(True)  # into the log file too
        try:
            with interruptible():  # no signal counts as a failed point
                return task(cfg)
        except Exception as raised:
            place = OmegaConf.select(cfg, "paths.runs") or "the working directory"
            error = find_user_error(raised) or find_storage_error(raised, place) or _refused(raised, full)
            if not sweeping and not isinstance(error, UserError):
                _report(error, *_log_files())
                raise
            _report(error, logging.StreamHandler(), *_log_files())
            failures.append(f"{' '.join(HydraConfig.get().overrides.task)}: {error}")
            return None

    logging.raiseExceptions = False  # a log file on a full disk must not drown the message that says so
    try:
        with interruptible():
            hydra.main(version_base="1.3", config_path=str(CONFIG_FOLDER), config_name=config_name)(guarded)()
    except Interrupted as interrupted:
        _report(interrupted, logging.StreamHandler(), *_log_files())
        raise
    except Exception as raised:  # by a sweeper, or by Hydra before the task
        error = _refused(raised, full)
        if not isinstance(error, UserError):
            raise
        _report(error, logging.StreamHandler(), *_log_files())
        sys.exit(1)
    finally:
        elsewhere = [] if failures else failed_elsewhere()
        if elsewhere or (failures and sweeping):
            lines = map(printable, failures or elsewhere)
            number = len(failures or elsewhere)
            print(f"{number} point(s) of the sweep failed:", *lines, sep="\n  ", file=sys.stderr)
    if failures or elsewhere:
        sys.exit(1)


def plain(node: Any) -> Any:
    """Return the resolved plain Python value of a configuration node."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def quote_values(names: set[str], argv: list[str], or_grammar: Set[str] = frozenset()) -> list[str]:
    """Quote the values of free-text arguments, so that Hydra's grammar accepts any character in them.

    `text=It's great, really!` becomes `text="It's great, really!"`; a quoted value stays.

    Args:
        names: keys whose values are plain text.
        or_grammar: keys whose values are plain text, a list `[a,b]` in Hydra's grammar, or `null`.
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
    """Turn `key=a,b` into `key=[a,b]` for these keys, which Hydra would read as a sweep."""
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


def _log_files() -> list[logging.Handler]:
    """Return the handlers of the run's log files."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]


def _refused(error: Exception, full: bool) -> Exception:
    """Turn Hydra's errors, whose messages have several lines, into a ConfigError of one, unless `full`."""
    if full or not isinstance(error, HydraException | OmegaConfBaseException):
        return error
    cause = str(error.__cause__ or "").splitlines()[:1]
    message, *_ = "\n".join([str(error), *cause]).partition("Config search path")
    override = getattr(error, "override", "")  # which the message of the grammar's errors lacks
    return ConfigError(f"{override}{': ' if override else ''}{' '.join(message.split())}")


def _report(error: Exception | Interrupted, *handlers: logging.Handler) -> None:
    """Write an error to these handlers, with its traceback unless it is a `UserError`."""
    lines = [str(error) if isinstance(error, Interrupted) else f"error: {error}"]
    if not isinstance(error, UserError | Interrupted):
        lines += "".join(traceback.format_exception(error)).splitlines()
    message = printable("\n".join(lines))
    record = log.makeRecord(log.name, logging.ERROR, __file__, 0, "%s", (message,), None)
    for handler in handlers:
        handler.handle(record)
