"""Rows in memory, a DataFrame or a `datasets.Dataset`, as the folder of files that `dataset=folder` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset

from powerbert.base.errors import DataError, shorten
from powerbert.base.files import content_hash, folder_by_content
from powerbert.data.folder import SPLIT_NAMES
from powerbert.data.table import file_digest
from powerbert.data.task import AUTO

Rows: TypeAlias = Dataset | pd.DataFrame

NO_LABEL = -1
"""What the hub has in place of a hidden class."""


def as_splits(data: object) -> dict[str, Rows] | None:
    """Return the splits of rows in memory, a single table as train; None for anything else.

    Splits of other names than `SPLIT_NAMES` has are left out.
    """
    if isinstance(data, Rows):
        return {"train": data}
    if not isinstance(data, Mapping) or not all(isinstance(rows, Rows) for rows in data.values()):
        return None
    ours = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    given = {ours[str(name)]: rows for name, rows in data.items() if str(name) in ours}
    if "train" not in given:
        raise DataError(f"data: there is no split 'train'; the splits are {', '.join(map(str, data))}")
    return given


def classes_of(rows: Rows, column: str) -> list[str] | str | None:
    """Return the classes that a Dataset names; None for floats, else `auto`."""
    if isinstance(rows, Dataset):
        feature = rows.features.get(column)
        if isinstance(feature, ClassLabel):
            return list(feature.names)
        return None if str(getattr(feature, "dtype", "")).startswith("float") else AUTO
    return None if column in rows and pd.api.types.is_float_dtype(rows[column]) else AUTO


def write_splits(
    splits: Mapping[str, Rows], texts: Sequence[str], labels: Sequence[str], cache: Path
) -> Path:
    """Write splits as Parquet files, of these columns alone, into a folder of `cache` named by their content.

    The same rows give the same folder, whether they are a DataFrame or a Dataset.

    Args:
        labels: the columns of the labels; test may lack them.

    Raises:
        DataError: naming the split and the column that is missing or cannot be written.
    """
    tables = {split: _table(rows, split, texts, labels) for split, rows in splits.items()}

    def write(folder: Path) -> None:
        for split, table in tables.items():
            pq.write_table(table, folder / f"{split}.parquet")

    def name(folder: Path) -> str:
        return content_hash({path.name: file_digest(path) for path in sorted(folder.iterdir())})

    return folder_by_content(cache / "tables", write, name)


def _table(rows: Rows, split: str, texts: Sequence[str], labels: Sequence[str]) -> pa.Table:
    found = list(map(str, rows.column_names if isinstance(rows, Dataset) else rows.columns))
    hidden = split == "test" and not {*labels} & {*found}
    columns = [*texts, *(() if hidden else labels)]
    for key, wanted in (("text_columns", texts), ("label_column", () if hidden else labels)):
        for column in wanted:
            if found.count(column) != 1:
                problem = "has no column" if column not in found else "has two columns"
                raise DataError(
                    f"{key}: {split} {problem} '{column}'; its columns are {shorten(', '.join(found), 500)}"
                )
    try:
        if isinstance(rows, Dataset):
            table = rows.select_columns(columns).with_format("arrow")[:]
        else:
            table = pa.Table.from_pandas(rows.rename(columns=str)[columns], preserve_index=False)
        plain = pa.schema([(field.name, _plain(field.type)) for field in table.schema])
        table = table.replace_schema_metadata().cast(plain).combine_chunks()
    except (ValueError, TypeError) as error:  # pyarrow's errors are of these classes
        raise DataError(
            f"data: {split} cannot be written as Parquet ({' '.join(str(error).split())})"
        ) from None
    if split == "test" and not hidden and set(table[labels[0]].unique().to_pylist()) <= {NO_LABEL}:
        table = table.drop_columns(list(labels))
    return table


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that stands for others of the same values."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind
