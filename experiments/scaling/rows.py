"""Reading and tokenising 1e5 to 1e7 rows: time, and the memory that the process has of its own.

python experiments/scaling/rows.py --rows 100000 1000000 10000000 --output experiments/scaling/rows.json
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import datasets
from study import Result, study

from powerbert.data import Task, TextDataModule
from powerbert.data.folder import FolderSource
from powerbert.models import load_tokenizer
from powerbert.models.checkpoint import packaged_minilm

START = "--start"
DEV_ROWS, TRAIN_BATCHES, MAX_LENGTH = 1000, 200, 32
VOCABULARY = (
    "a film the story of and is it that with its an as but this in one for to by not you has be from are "
    "than comedy drama funny moving dull brilliant tedious clever slow charming performances script director "
    "ending characters scenes laughs heart predictable fresh sharp warm flat engaging overlong awkward"
)


def write_folder(folder: Path, rows: int) -> None:
    """A user's own files: sentences of 3 to 15 words, each with a number of its own."""
    draw, vocabulary = random.Random(1), VOCABULARY.split()
    for split, count in (("train", rows), ("dev", DEV_ROWS)):
        with (folder / f"{split}.tsv").open("w", encoding="utf-8") as file:
            file.write("text\tlabel\n")
            for number in range(count):
                words = draw.choices(vocabulary, k=draw.randint(3, 15))
                file.write(f"{' '.join(words)} {number}\t{number % 2}\n")


def memory(name: str) -> float:
    """MiB of a line of /proc/self/status: `RssAnon` is the process's own, `RssFile` are mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


class Watch:
    """Seconds and the peak of the own memory of what runs in it."""

    def __enter__(self) -> "Watch":
        """Looks every 20 ms."""
        self.peak = self.before = memory("RssAnon")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stops looking."""
        self.seconds = time.perf_counter() - self._started
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, memory("RssAnon"))

    def found(self) -> dict[str, float]:
        """The figures."""
        return {"seconds": round(self.seconds, 2), "peak_mib": round(self.peak - self.before, 1)}


def start(folder: Path, cache: Path) -> Result:
    """One start: prepares the data and draws the first training batches of an epoch."""
    datasets.disable_progress_bars()
    datasets.config.HF_DATASETS_CACHE = cache
    task = Task("rows", ("text",), ("0", "1"), "accuracy", MAX_LENGTH)
    tokenizer = load_tokenizer(packaged_minilm())
    source = FolderSource(folder, task.text_columns, ("0", "1"), cache)
    data = TextDataModule(source, task, tokenizer, batch_size=32, seed=1)
    steps: dict[str, Callable[[], object]] = {
        "prepare": data.setup,
        "first_batches": lambda: sum(1 for _ in islice(data.train_dataloader(), TRAIN_BATCHES)),
    }
    found: Result = {}
    for name, step in steps.items():
        with Watch() as watch:
            step()
        found[name] = watch.found()
    return found


def measure(rows: int, place: Path) -> Result:
    """A first start, and a second that finds everything in the cache, each in a process of its own."""
    write_folder(place, rows)
    result: Result = {}
    for name in ("first", "again"):
        command = [sys.executable, __file__, START, str(place), str(place / "cache")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result[name] = json.loads(done.stdout.splitlines()[-1])
    size = sum(path.stat().st_size for path in (place / "cache").rglob("*") if path.is_file())
    result["train_mb"] = round((place / "train.tsv").stat().st_size / 1e6, 1)
    result["cache_mb"] = round(size / 1e6, 1)
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == [START]:
        print(json.dumps(start(*map(Path, sys.argv[2:]))))
    else:
        study("rows", measure)
