"""What the studies of this folder share: a measurement for each amount of work, written as it comes."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def study(amount: str, measure: Callable[[int, Path], Result]) -> None:
    """Measures what the command line asks for, `--<amount> 1 10 --output <file>`.

    Args:
        amount: what there is more and more of.
        measure: takes how much, and an empty folder; gives the figures.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument(f"--{amount}", dest="amounts", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    results = []
    for number in arguments.amounts:
        with tempfile.TemporaryDirectory(prefix=amount) as folder:
            results.append({amount: number, **measure(number, Path(folder))})
        print(json.dumps(results[-1]), flush=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def seconds(*arguments: str) -> float:
    """Of a whole command, `python -m <arguments>`."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started
