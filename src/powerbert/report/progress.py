"""One line for each point of a sweep."""

from datetime import datetime, timedelta

from powerbert.report.points import PROTOCOLS
from powerbert.store.naming import METRIC_NAMES, Record, knob_label, method_label


def progress_line(record: Record, number: int, total: int, started: datetime, now: datetime) -> str:
    """What a sweep says of a point that is done.

    Args:
        record: of the point.
        number: of the point, from 1.
        total: number of points.
        started: when its run began, with a time zone.
        now: the time, with a time zone.

    Returns:
        For example `[ 3/34] snippets seed 42 PoWER-BERT lambda=0.001: accuracy 85.20 (-0.65), FLOPs 3.07x,
        padded 2.85x, dynamic 1.64x; 0:04:12`; the time is `recorded` if the record was there already.
    """
    metric, baseline, latency = record["metric"], record["baseline"]["value"], record["latency"]
    name, value = METRIC_NAMES.get(metric["name"], metric["name"]), metric["value"]
    known = value is not None and baseline is not None
    result = f"{100 * value:.2f} ({100 * (value - baseline):+.2f})" if known else "n/a"
    gains = [("FLOPs", record["flops"]["ratio"], "")]
    for protocol in PROTOCOLS:
        sign = " (disturbed)" if latency[protocol].get("disturbed") else ""
        gains.append((protocol, latency[protocol]["speedup"], sign))
    speedups = ", ".join(
        f"{what} n/a" if ratio is None else f"{what} {ratio:.2f}x{sign}" for what, ratio, sign in gains
    )
    before = "created" in record and datetime.fromisoformat(record["created"]) < started.replace(
        microsecond=0
    )
    time = "recorded" if before else str(timedelta(seconds=round((now - started).total_seconds())))
    place = f"[{number:{len(str(total))}}/{total}]"
    point = f"{record['dataset']} seed {record['seed']} {method_label(record)} {knob_label(record)}"
    return f"{place} {point}: {name} {result}, {speedups}; {time}"
