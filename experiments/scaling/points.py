"""A sweep of 1 to 100 points on a tiny model: seconds a point, the framework's own but for a few batches.

python experiments/scaling/points.py --points 1 10 100 --output experiments/scaling/points.json
"""

from pathlib import Path

from study import Result, seconds, study

ROWS = 64
SETTINGS = (
    "model=tiny",
    "dataset=folder",
    "dataset.text_columns=[text]",
    "dataset.label_names=[bad,good]",
    "dataset.max_length=16",
    "trainer.max_epochs=1",
    "batch_size=32",
    "measure.runs=1",
    "measure.warmup=0",
    "measure.padded_batch_size=8",
    "measure.dynamic_batches=1",
)


def write_folder(folder: Path) -> None:
    """Sentences of five words, of which the last gives the label."""
    for split in ("train", "dev"):
        lines = [f"this film number {row} is {('bad', 'good')[row % 2]}" for row in range(ROWS)]
        rows = "".join(f"{line}\t{line.split()[-1]}\n" for line in lines)
        (folder / f"{split}.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")


def sweep(place: Path, values: str) -> float:
    """Seconds of a sweep."""
    more = (f"dataset.source.path={place}", f"paths.runs={place / 'runs'}", f"lambda={values}")
    return seconds("powerbert.train", "-m", *SETTINGS, *more)


def measure(points: int, place: Path) -> Result:
    """A sweep, and the same one again."""
    write_folder(place)
    values = ",".join(f"{1e-5 * (1 + number):.5f}" for number in range(points))
    first, again = sweep(place, values), sweep(place, values)
    status = seconds("powerbert.status", f"records={place / 'runs' / 'records'}")
    written = len(list((place / "runs" / "records").glob("*.json")))
    assert written == points, f"{written} records of {points}"
    return {
        "seconds": round(first, 1),
        "seconds_a_point": round(first / points, 2),
        "again_seconds": round(again, 1),
        "again_seconds_a_point": round(again / points, 3),
        "status_seconds": round(status, 1),
    }


if __name__ == "__main__":
    study("points", measure)
