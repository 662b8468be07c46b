"""Reads back the file that an offline W&B run writes: protocol buffers in the blocks of a LevelDB log."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import wandb
from wandb.proto.wandb_internal_pb2 import Record

FILE_HEADER = 7
BLOCK = 32 * 1024
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def payloads(file: Path) -> Iterator[bytes]:
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    place, parts = FILE_HEADER, []
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:  # too little of the block is left for a header
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        place += HEADER.size
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        parts.append(content[place : place + length])
        place += length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


def read_back(file: Path) -> tuple[dict, dict]:
    """The last value of every entry of the run's summary and of its history, for a run that has finished."""
    wandb.teardown()  # waits for the writing process: a finished run may still sit in its buffers
    summary, history = {}, {}
    for payload in payloads(file):
        record = Record()
        record.ParseFromString(payload)
        for items, values in ((record.summary.update, summary), (record.history.item, history)):
            for item in items:
                values[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return summary, history
