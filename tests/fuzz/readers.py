"""A coverage-guided fuzzer over the readers of dataset files, with atheris (not among the requirements).

    pip install atheris
    python -m tests.fuzz.readers -max_total_time=600 -max_len=4096 <corpus folder>

The first byte of an input chooses the reader, the others are the file. An input that gives neither rows nor
a `UserError` is written as `crash-*`; once fixed, it moves to `tests/fuzz/inputs`, which the tests read.
"""

import gzip
import io
import json
import sys
from pathlib import Path

import atheris
import pyarrow as pa
import pyarrow.parquet as pq

with atheris.instrument_imports(include=["powerbert.data", "powerbert.base.errors", "gzip", "csv", "json"]):
    from tests.fuzz.harness import KINDS, read


def one_input(data: bytes) -> None:
    if data:
        read(KINDS[data[0] % len(KINDS)], data[1:])


def seeds() -> dict[str, bytes]:
    """Return a small file for each reader, as the start of the search."""
    parquet = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", ""], "label": [1, 0]}), parquet)
    article = {"article": "a", "questions": ["b _"], "options": [["a", "b", "c", "d"]], "answers": ["A"]}
    texts = {
        ".tsv": b"text\tlabel\na\t1\n\nb\tgood\n",
        ".txt": b"\xef\xbb\xbfa\t1\r\nb\t0",
        ".csv": b'text,label\n"a ""b""\n",1\nb,0\n',
        ".jsonl": b'{"text": "a\\u00e9", "label": 1.0}\n\n{"text": "", "label": ["a", "b"]}\n',
        ".json": b'{"label": null, "text": {"a": true}}',
    }
    zipped = {f"{suffix}.gz": gzip.compress(text) for suffix, text in texts.items()}
    return {**texts, **zipped, ".parquet": parquet.getvalue(), "race": json.dumps(article).encode()}


def main() -> None:
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, content in seeds().items():
            (folder / f"seed{kind.replace('.', '-')}").write_bytes(bytes([KINDS.index(kind)]) + content)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
