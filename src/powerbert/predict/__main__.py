"""Label texts: `python -m powerbert.predict artifact=<folder> text="A joy to watch."`."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from powerbert.base.checks import check_artifact, check_choice, check_flag, check_number, check_whole
from powerbert.base.cli import entry_point, quote_values
from powerbert.base.errors import ConfigError
from powerbert.base.progress import progress

SUFFIXES = (".jsonl", ".csv", ".parquet")
"""Of `output`."""


def predict(cfg: DictConfig) -> None:
    """Label the given text or the files' texts into a file or as JSON lines, or write a GLUE submission."""
    check(cfg)
    import datasets  # heavy imports wait until the configuration is valid

    if cfg.format == "glue":
        from powerbert.predict.glue_submission import write_submission

        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        artifacts = cfg.artifact if OmegaConf.is_list(cfg.artifact) else [cfg.artifact]
        folders, output, cache = list(map(Path, artifacts)), Path(cfg.output), Path(cfg.paths.cache)
        write_submission(folders, output, cache, cfg.batch_size, cls_alone=cfg.cls_alone)
        return

    from powerbert.predict.batch import TABLES, Labeller, labelled, write_labels
    from powerbert.predict.inputs import Inputs
    from powerbert.predict.predictor import Predictor

    datasets.disable_progress_bars()
    inputs = None
    if cfg.input is not None:
        header = _names(cfg.header)
        inputs = Inputs(cfg.input, delimiter=cfg.delimiter, encoding=cfg.encoding, header=header)
        if cfg.output is not None and Path(cfg.output).resolve() in [one.resolve() for one in inputs.files]:
            raise ConfigError(f"output: {cfg.output} is a file of input; give another")
    settings = {"cls_alone": cfg.cls_alone, "speed": cfg.speed}
    predictor = Predictor(cfg.artifact, cfg.batch_size, **settings)
    columns, rows, total = _given(cfg, inputs, predictor)
    labeller = Labeller(predictor, columns, _names(cfg.id_column) or [])
    if cfg.output is not None:
        output = Path(cfg.output)
        labeller = replace(labeller, flat=output.suffix.lower() in TABLES)
        settings["batch_size"] = cfg.batch_size
        write_labels(labeller, rows, output, settings, total=total, ranked=cfg.query is not None)
        return
    found = labelled(labeller, rows)
    if cfg.query is not None:
        found = iter(sorted(found, key=lambda row: -row["score"]))
    try:
        for line in found if sys.stdout.isatty() else progress(found, "Rows", total=total):
            print(json.dumps(line, ensure_ascii=False), flush=True)
    except BrokenPipeError:  # whoever reads, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _given(cfg: DictConfig, inputs: Any, predictor: Any) -> tuple[Sequence[str], Iterator[Any], int]:
    """Return the columns of the texts, the rows of `text` or of the `Inputs`, and how many there are."""
    from powerbert.predict.inputs import check_columns

    given = _names(cfg.text_columns)
    if inputs is None:
        predictor.take(1 if cfg.text_pair is None else 2)
    elif cfg.query is None and (parts := len(given) if given else inputs.parts()) is not None:
        predictor.take(parts)
    task = predictor.task
    if cfg.query is not None and not task.is_reranking:
        raise ConfigError(f"query: '{task.name}' is no reranking task; remove query=")
    if inputs is None:
        texts = given_text(cfg.text, cfg.text_pair, task)
        return task.text_columns, iter([dict(zip(task.text_columns, texts, strict=True))]), 1
    columns = check_columns(task, given, query=cfg.query is not None)
    ids = _names(cfg.id_column) or []
    total = sum(1 for _ in inputs.rows(task, columns, ids))  # a bad row is an error before the first label
    rows = inputs.rows(task, columns, ids)
    if cfg.query is None:
        return columns, rows, total
    query = {task.text_columns[0]: str(cfg.query)}
    return (*query, *columns), (query | row for row in rows), total


def check(cfg: DictConfig) -> None:
    """Validate the configuration of `conf/predict.yaml`; a ConfigError names the key."""
    check_whole("batch_size", cfg.batch_size)
    check_flag("cls_alone", cfg.cls_alone)
    if cfg.speed is not None:
        check_number("speed", cfg.speed, strict=True)
    if not cfg.artifact:
        raise ConfigError("artifact: give the folder of a trained model, artifact=<folder>")
    if cfg.format is not None:
        check_choice("format", cfg.format, ("glue",))
        if cfg.text is not None or cfg.input is not None:
            raise ConfigError("format: glue predicts GLUE's own test sets; remove text= and input=")
        if cfg.output is None:
            raise ConfigError("output: +format=glue writes one file per task; give output=<folder>")
    elif OmegaConf.is_list(cfg.artifact):
        raise ConfigError("artifact: give one folder; only +format=glue takes a list")
    elif (cfg.text is None) == (cfg.input is None):
        raise ConfigError('text, input: give one of them, text="..." or input=<file>')
    elif cfg.text_pair is not None and cfg.text is None:
        raise ConfigError("text_pair: needs text=; in a file the second text has its own column")
    elif cfg.query is not None and cfg.input is None:
        raise ConfigError("query: needs input=<file of passages>; for one passage give text= and text_pair=")
    for key in ("text_columns", "id_column", "delimiter", "header"):
        if cfg[key] is not None and cfg.input is None:
            raise ConfigError(f"{key}: needs input=")
    if cfg.format is None:
        check_artifact(cfg.artifact)
        if cfg.output is not None:
            _check_output(Path(cfg.output))


def given_text(text: Any, text_pair: Any, task: Any) -> tuple[str, ...]:
    """Return the command line's text, or its pair of texts, as a row of a `Task`.

    Raises:
        ConfigError: If the task takes another number of texts, or is multiple choice.
    """
    columns = task.text_columns
    texts = tuple(str(part) for part in (text, text_pair) if part is not None)
    if task.is_multiple_choice or len(columns) > 2:
        needed = "input=<file.jsonl>"
    elif len(texts) != len(columns):
        needed = "text=" if len(columns) == 1 else "text= and text_pair="
    else:
        return texts
    raise ConfigError(f"text, text_pair: '{task.name}' takes {' and '.join(columns)}; give {needed}")


def _check_output(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"output: {path} must end in one of {', '.join(SUFFIXES)}")
    if path.exists() and not path.is_file():
        raise ConfigError(f"output: {path} is no file; give a file")


def _names(value: Any) -> list[str] | None:
    """Return a setting's columns, one or a list, as texts."""
    return None if value is None else [str(name) for name in (value if OmegaConf.is_list(value) else [value])]


if __name__ == "__main__":
    sys.argv = quote_values({"text", "text_pair", "query"}, sys.argv)
    entry_point(predict, "predict")
