"""The report over 10 to 10 000 records: seconds of the whole command.

The records are those of a study, again and again with other knobs and metrics.

python experiments/scaling/records.py --records 10 100 1000 10000 --output experiments/scaling/records.json
"""

import json
import random
from pathlib import Path

from study import Result, seconds, study

from powerbert.store.records import read_records

STUDY = Path(__file__).parents[1] / "pareto-minilm" / "records"


def write_records(folder: Path, count: int) -> None:
    """Every round over the study's records moves a point's knob, metric and speed."""
    study = read_records(STUDY)
    draw = random.Random(1)
    for number in range(count):
        record = json.loads(json.dumps(study[number % len(study)]))
        again, identity = number // len(study), f"{number:016x}"
        if again:
            for name in ("value", "dev", "test"):
                if isinstance(record["metric"].get(name), float):
                    record["metric"][name] += draw.uniform(-0.02, 0.0)
            record["knob"] = {name: _moved(value, again) for name, value in record["knob"].items()}
            for protocol in ("padded", "dynamic"):
                record["latency"][protocol]["speedup"] *= draw.uniform(0.9, 1.1)
        record["identity"] = identity
        (folder / f"{identity}.json").write_text(json.dumps(record), encoding="utf-8")


def _moved(value: object, again: int) -> object:
    return value * (1 + again / 1000) if isinstance(value, float) else value


def measure(count: int, folder: Path) -> Result:
    """The report over as many records."""
    place = folder / "records"
    place.mkdir()
    write_records(place, count)
    report = seconds("powerbert.report", "report=pareto", f"records={place}", f"output={folder}/report")
    page = sum(path.stat().st_size for path in (folder / "report").rglob("*.html"))
    return {"report_seconds": round(report, 1), "page_mb": round(page / 1e6, 2)}


if __name__ == "__main__":
    study("records", measure)
