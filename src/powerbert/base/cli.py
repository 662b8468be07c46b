"""The command line of every entry point: Hydra's key=value grammar, and errors in one message."""

import logging
import os
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from powerbert.base.checks import check_known, suggestion
from powerbert.base.errors import ConfigError, UserError, find_storage_error, find_user_error, printable
from powerbert.base.interrupt import Interrupted, interruptible

log = logging.getLogger(__name__)
warnings.filterwarnings(  # the files of these names are whole, but Hydra takes the plugins' for their schemas
    "ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema"
)

_PACKAGED = Path(__file__).parents[1] / "conf"
CONFIG_FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "conf"
"""The yaml tree: inside an installed package, or at the top of a checkout."""

_PLACE = re.compile(
    r"\+*(paths\.\w+|records|artifact|input|output|[\w.]+\.(path|folder|archive|cache|student))"
)
"""Keys whose values are paths."""

_BARE = re.compile(r"[\w./\\:%@-]+", re.ASCII)
"""Values that Hydra's grammar takes for a text as they are."""

_QUOTED = re.compile(r"""(["'])(\\.|(?!\1)[^\\])*\1""", re.DOTALL)


def options(group: str) -> list[str]:
    """Return the choices of a group, those in folders of the user's included."""
    return GlobalHydra.instance().config_loader().get_group_options(group)


OmegaConf.register_new_resolver(  # for the templates of --help
    "options", lambda group: textwrap.fill(", ".join(options(group)), 100, subsequent_indent=" " * 13)
)


def entry_point(
    task: Callable[[DictConfig], object],
    config_name: str,
    failed_elsewhere: Callable[[], list[str]] = lambda: [],
    optional: Collection[str] = (),
) -> None:
    """Run `task` on the configuration that the command line composes; exit with status 1 if it failed.

    Options such as `-m` may stand anywhere. Paths need no quotes, and `~` in them is the home folder.

    A `UserError`, an override that does not compose and a full or read-only disk are printed as one message
    without a traceback; HYDRA_FULL_ERROR=1 shows the traceback of the second. The run's log file has every
    error. In a multirun the other points still run; those that failed are listed at the end, in whichever
    process they ran. SIGINT and SIGTERM end the process with one message and exit status 130 and 143.

    Args:
        config_name: the primary yaml under `conf/`.
        failed_elsewhere: lists a sweep's failed points that ran in other processes, one line each.
        optional: top-level keys that the configuration may have beside those of the primary yaml.
    """
    sys.argv[1:] = quote_places(options_first(sys.argv[1:]))
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
                if HydraConfig.get().job.chdir:
                    raise ConfigError(
                        "hydra.job.chdir: must be false; relative paths count from the working directory"
                    )
                _check_top(cfg, config_name, optional)
                return task(cfg)
        except Exception as raised:
            place = OmegaConf.select(cfg, "paths.runs") or "the working directory"
            told = find_user_error(raised) or find_storage_error(raised, place)
            error = told or _refused(raised, full, config_name, sys.argv[1:])
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
        error = _refused(raised, full, config_name, sys.argv[1:])
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


@contextmanager
def composed(
    config_name: str, overrides: Sequence[str], optional: Collection[str] = ()
) -> Iterator[DictConfig]:
    """Compose a configuration in Python as the command line would; a Hydra application around it stays.

    Args:
        optional: as of `entry_point`.

    Raises:
        UserError: with the message of the command line, for what it refuses here and within the block.
    """
    running, place = GlobalHydra.instance().hydra, "the working directory"
    try:
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
            cfg = hydra.compose(config_name, list(overrides))
        GlobalHydra.instance().hydra = running
        _check_top(cfg, config_name, optional)
        place = cfg.paths.runs
        yield cfg
    except Exception as raised:
        told = find_user_error(raised) or find_storage_error(raised, place)
        error = told or _refused(raised, False, config_name, overrides)
        if error is raised:
            raise
        raise error from None
    finally:
        GlobalHydra.instance().hydra = running


def as_overrides(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Write settings as Hydra's overrides; any text stays what it is, and `~` in paths is the home folder."""
    overrides = []
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            overrides += as_overrides(value, f"{key}.")
            continue
        if isinstance(value, str | Path) and _PLACE.fullmatch(key):
            value = os.path.expanduser(value)
        overrides.append(f"{key}={_written(value)}")
    return overrides


def _written(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | Path):
        return _quote(str(value))
    if hasattr(value, "tolist"):  # of NumPy
        return _written(value.tolist())
    if isinstance(value, Sequence):
        return f"[{','.join(map(_written, value))}]"
    return repr(value)


def plain(node: Any) -> Any:
    """Return the resolved plain Python value of a configuration node."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def options_first(arguments: list[str]) -> list[str]:
    """Move options with their values before the overrides, since argparse takes none in between."""
    options: list[str] = []
    overrides: list[str] = []
    last = overrides
    for argument in arguments:
        if argument.startswith("-"):
            last = options
        elif "=" in argument or argument.startswith("~"):
            last = overrides
        last.append(argument)
    return options + overrides


def quote_places(arguments: list[str]) -> list[str]:
    """Quote paths with characters that Hydra's grammar gives a meaning, and expand `~` in them.

    A list in brackets, `null` and an interpolation stay. In a sweep a comma separates values, unless there is
    such a file or folder.
    """
    keys = {argument.lstrip("+").partition("=")[0] for argument in arguments}
    sweeps = keys & {"-m", "--multirun", "sweep", "experiment", "hydra.mode"}
    quoted = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        literal = value not in ("", "null") and value[0] not in "[\"'" and "${" not in value
        if literal and _PLACE.fullmatch(key):
            place = os.path.expanduser(value)
            if not (sweeps and "," in place) or os.path.exists(place):
                argument = f"{key}={place if _BARE.fullmatch(place) else _quote(place)}"
        quoted.append(argument)
    return quoted


def quote_values(names: Set[str], argv: list[str]) -> list[str]:
    """Quote the values of free-text arguments, so that Hydra's grammar accepts any character in them.

    `text=It's great, really!` becomes `text="It's great, really!"`; a quoted value stays.

    Args:
        names: keys whose values are plain text.
    """
    quoted = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        if equals and key in names and value and not _QUOTED.fullmatch(value):
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


def _check_top(cfg: DictConfig, config_name: str, optional: Collection[str]) -> None:
    """Raise ConfigError for a top-level key that has no effect."""
    groups = (path.name for path in CONFIG_FOLDER.iterdir() if path.is_dir())
    known = {*OmegaConf.load(CONFIG_FOLDER / f"{config_name}.yaml"), *groups, *optional}
    for key in map(str, cfg):
        if key not in known and not is_referred_to(key, cfg):
            check_known("", key, known)


def is_referred_to(key: str, cfg: DictConfig) -> bool:
    """Whether an interpolation in the configuration, or in Hydra's, refers to a key."""
    nodes = [cfg, HydraConfig.get()] if HydraConfig.initialized() else [cfg]
    pattern = rf"\$\{{[^}}]*\b{re.escape(key)}\b"
    return any(re.search(pattern, OmegaConf.to_yaml(node)) for node in nodes)


def _refused(error: Exception, full: bool, config_name: str, arguments: Sequence[str]) -> Exception:
    """Turn Hydra's errors, whose messages have several lines, into a ConfigError of one, unless `full`."""
    if full or not isinstance(error, HydraException | OmegaConfBaseException):
        return error
    message, *_ = str(error).partition("Config search path")
    override = getattr(error, "override", "")  # which the message of the grammar's errors lacks
    near = ""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        near = suggestion(error.missing_cfg_file.rpartition("/")[2], error.options)
    elif found := re.match(r"Could not override '([\w.@/]+)'", message):
        near = suggestion(found[1], _known_keys(config_name, arguments))
    elif isinstance(error.__cause__, Exception):
        message += f"\n{error.__cause__}".splitlines()[1]
    first, _, rest = message.partition("\n")
    if near:
        first = f"{first.rstrip('.')}{near}"
    return ConfigError(f"{override}{': ' if override else ''}{' '.join(f'{first} {rest}'.split())}")


def _known_keys(config_name: str, arguments: Sequence[str]) -> list[str]:
    """List all keys of the configuration that the command line's choices of groups compose."""
    GlobalHydra.instance().clear()
    chosen = [one for one in arguments if (CONFIG_FOLDER / one.lstrip("+").partition("=")[0]).is_dir()]
    try:
        with hydra.initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
            return list(_keys(OmegaConf.to_container(hydra.compose(config_name, chosen), resolve=False)))
    except (HydraException, OmegaConfBaseException):  # another override is wrong as well
        return []


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from _keys(value, f"{prefix}{key}.")


def _report(error: Exception | Interrupted, *handlers: logging.Handler) -> None:
    """Write an error to these handlers, with its traceback unless it is a `UserError`."""
    lines = [str(error) if isinstance(error, Interrupted) else f"error: {error}"]
    if not isinstance(error, UserError | Interrupted):
        lines += "".join(traceback.format_exception(error)).splitlines()
    message = printable("\n".join(lines))
    record = log.makeRecord(log.name, logging.ERROR, __file__, 0, "%s", (message,), None)
    for handler in handlers:
        handler.handle(record)
