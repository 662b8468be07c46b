"""Runs in processes of their own, which a server forks that has imported everything: they start at once."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from powerbert.base.interrupt import interruptible
from tests.tiny_runs import overrides, train

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.preloaded"])

CHANGES = frozenset({"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.rmtree"})
"""Python's audit events of a file system that changes; `open` is another, if it is for writing."""


@dataclass
class Command:
    """A `python -m powerbert.train` under way.

    Attributes:
        process: that runs it.
        folder: of what it prints.
    """

    process: ForkServerProcess
    folder: Path

    def wait(self, timeout: float = 240) -> int:
        """Its exit status, negative if a signal ended it."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, self.stderr
        return self.process.exitcode

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()


def command(folder: Path, corpus: Path, runs: Path, *more: str) -> Command:
    """Starts the command line on the tiny configuration; what it prints goes to files in `folder`."""
    folder.mkdir(parents=True)
    process = CONTEXT.Process(target=_main, args=(folder, overrides(corpus, runs), more))
    process.start()
    return Command(process, folder)


def door(
    folder: Path, module: str, *arguments: str, environment: Mapping[str, str] = os.environ, prints: str = "."
) -> Command:
    """Start `python -m module` in a folder that exists; what it prints goes to the folder `prints`."""
    process = CONTEXT.Process(target=_door, args=(folder, module, arguments, dict(environment), prints))
    process.start()
    return Command(process, folder / prints)


def finished(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` to its end in the working directory."""
    with tempfile.TemporaryDirectory() as prints:
        command = door(Path.cwd(), module, *arguments, prints=prints)
        return subprocess.CompletedProcess(arguments, command.wait(), command.stdout, command.stderr)


def replaced(settings: list[str], more: tuple[str, ...] | list[str]) -> list[str]:
    """The settings, but for those that `more` sets too, and `more`; options such as `-m` come first."""
    given = {argument.partition("=")[0] for argument in more}
    kept = [argument for argument in settings if argument.partition("=")[0] not in given]
    return sorted([*kept, *more], key=lambda argument: argument[0] != "-")


def _main(folder: Path, settings: list[str], more: tuple[str, ...]) -> None:
    _start(folder, "powerbert.train", replaced(settings, more))


def _door(
    folder: Path, module: str, arguments: Sequence[str], environment: Mapping[str, str], prints: str
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _start(folder / prints, module, arguments)


def _start(folder: Path, module: str, arguments: Sequence[str]) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


def attempt(corpus: Path, runs: Path, *more: str, change: int = 0, counted: Any = None) -> ForkServerProcess:
    """Starts a run that kills itself at one of its changes of the file system, or comes to its end.

    Args:
        corpus: to train on.
        runs: folder of everything that it writes; changes elsewhere do not count.
        more: overrides.
        change: number of the change before which SIGKILL strikes; 0 for none.
        counted: a shared value that is told the number of changes so far.
    """
    process = CONTEXT.Process(target=_attempt, args=(corpus, runs, more, change, counted))
    process.start()
    return process


def _attempt(corpus: Path, runs: Path, more: tuple[str, ...], change: int, counted: Any) -> None:
    changes = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if not _is_change(event, arguments, str(runs)):
            return
        changes += 1
        if counted is not None:
            counted.value = changes
        if changes == change:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    with interruptible():
        train(corpus, runs, *more)


def _is_change(event: str, arguments: tuple[Any, ...], below: str) -> bool:
    if event == "open":
        _, mode, flags = arguments
        if not (set(mode or "") & set("wxa+") or flags & (os.O_WRONLY | os.O_RDWR)):
            return False
    elif event not in CHANGES:
        return False
    return str(arguments[0]).startswith(below) or not os.path.isabs(str(arguments[0]))
