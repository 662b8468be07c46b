from datetime import UTC, datetime, timedelta

from powerbert.report.progress import progress_line
from tests.report.records import point as make_record

START = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)


def line(record, number=3, total=34):
    return progress_line(record, number, total, START, START + timedelta(seconds=252))


def test_a_point_is_one_line():
    record = make_record() | {"created": (START + timedelta(seconds=251)).isoformat(timespec="seconds")}
    text = line(record)
    assert "\n" not in text
    assert text.startswith(f"[ 3/34] {record['dataset']} seed {record['seed']} PoWER-BERT lambda=")
    assert f"{100 * record['metric']['value']:.2f} (" in text
    assert f"FLOPs {record['flops']['ratio']:.2f}x" in text
    assert f"dynamic {record['latency']['dynamic']['speedup']:.2f}x; 0:04:12" in text


def test_a_record_from_before_says_so():
    assert line(make_record() | {"created": "2026-01-02T03:04:04+00:00"}).endswith("; recorded")


def test_a_record_of_the_same_second_is_new():
    assert line(make_record() | {"created": "2026-01-02T03:04:05+00:00"}).endswith("; 0:04:12")


def test_a_metric_that_is_not_defined():
    record = make_record()
    record = record | {"metric": record["metric"] | {"value": None}}
    assert " n/a, FLOPs" in line(record)
