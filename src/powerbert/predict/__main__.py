"""Label texts: `python -m powerbert.predict artifact=<folder> text="A joy to watch."`."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from powerbert.base.checks import check_artifact, check_choice, check_flag, check_number, check_whole
from powerbert.base.cli import entry_point, quote_values
from powerbert.base.errors import ConfigError
from powerbert.base.files import output_file


def predict(cfg: DictConfig) -> None:
    """Label the given text or the file's texts, one JSON object per line, or write a GLUE submission."""
    check(cfg)
    import datasets  # heavy imports wait until the configuration is valid

    if cfg.input is None or not sys.stderr.isatty():
        datasets.disable_progress_bars()
    if cfg.format == "glue":
        from powerbert.predict.glue_submission import write_submission

        artifacts = cfg.artifact if OmegaConf.is_list(cfg.artifact) else [cfg.artifact]
        folders, output, cache = list(map(Path, artifacts)), Path(cfg.output), Path(cfg.paths.cache)
        write_submission(folders, output, cache, cfg.batch_size, cls_alone=cfg.cls_alone)
        return

    from powerbert.data import read_texts
    from powerbert.predict.predictor import Predictor

    predictor = Predictor(cfg.artifact, cfg.batch_size, cls_alone=cfg.cls_alone, speed=cfg.speed)
    if cfg.query is None and (parts := given_parts(cfg)) is not None:
        predictor.take(parts)
    task, columns = predictor.task, predictor.task.text_columns
    if cfg.query is not None and not task.is_reranking:
        raise ConfigError(f"query: '{task.name}' is no reranking task; remove query=")
    if cfg.input is None:
        texts = [given_text(cfg.text, cfg.text_pair, task)]
    elif cfg.query is None:
        texts = list(read_texts(Path(cfg.input), task))
    else:
        texts = [(str(cfg.query), *passage) for passage in read_texts(Path(cfg.input), task, columns[1:])]
    found = list(zip(texts, predictor(texts), strict=True))
    if cfg.query is not None:
        found.sort(key=lambda row: -row[1]["score"])
    with nullcontext(sys.stdout) if cfg.output is None else output_file(Path(cfg.output)) as file:
        for row, prediction in found:
            line = {**dict(zip(columns, row, strict=True)), **prediction}
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")


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
    if cfg.format is None:
        check_artifact(cfg.artifact)


def given_parts(cfg: DictConfig) -> int | None:
    """Return how many texts an input has, one or two, if the command says it; a manifest knows better."""
    if cfg.input is None:
        return 1 if cfg.text_pair is None else 2
    path = Path(cfg.input)
    if path.name.removesuffix(".gz").endswith(".txt"):
        return None
    from powerbert.data.readers import column_names

    return 2 if {"text_pair", "passage"} & {*column_names(path)} else 1


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


if __name__ == "__main__":
    sys.argv = quote_values({"text", "text_pair", "query"}, sys.argv)
    entry_point(predict, "predict")
