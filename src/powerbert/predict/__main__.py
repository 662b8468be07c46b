"""Labels texts: `python -m powerbert.predict artifact=<folder> text="A joy to watch."`."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from powerbert.base.cli import entry_point, quote_values
from powerbert.base.errors import ConfigError
from powerbert.base.output import whole_file


def predict(cfg: DictConfig) -> None:
    """Labels the text or the file's texts, one JSON object a line, or writes a submission to GLUE."""
    import datasets  # heavy imports wait until Hydra has accepted the command line

    check(cfg)
    if cfg.input is None or not sys.stderr.isatty():
        datasets.disable_progress_bars()
    if cfg.format == "glue":
        from powerbert.predict.glue_submission import write_submission

        folders = list(cfg.artifact) if OmegaConf.is_list(cfg.artifact) else [cfg.artifact]
        write_submission(
            [Path(folder) for folder in folders], Path(cfg.output), Path(cfg.paths.cache), cfg.batch_size
        )
        return

    from powerbert.data.texts import read_texts
    from powerbert.predict.predictor import Predictor

    predictor = Predictor(cfg.artifact, cfg.batch_size)
    columns = predictor.task.text_columns
    if cfg.input is None:
        texts = [given_text(cfg, predictor.task)]
    else:
        texts = list(read_texts(Path(cfg.input), predictor.task))
    with nullcontext(sys.stdout) if cfg.output is None else whole_file(Path(cfg.output)) as file:
        for row, prediction in zip(texts, predictor(texts), strict=True):
            line = {**dict(zip(columns, row, strict=True)), **prediction}
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")


def check(cfg: DictConfig) -> None:
    """Refuses what cannot be meant, before anything is loaded.

    Args:
        cfg: the composed configuration of `conf/predict.yaml`.

    Raises:
        ConfigError: naming the key.
    """
    size = cfg.batch_size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"batch_size: {size!r} must be a whole number of at least 1")
    if not cfg.artifact:
        raise ConfigError("artifact: give the folder of a trained model, artifact=<folder>")
    if cfg.format == "glue":
        if cfg.text is not None or cfg.input is not None:
            raise ConfigError("format: glue predicts GLUE's own test sets; leave out text= and input=")
        if cfg.output is None:
            raise ConfigError("output: +format=glue writes one file a task; give output=<folder>")
    elif cfg.format is not None:
        raise ConfigError(f"format: '{cfg.format}' is unknown; choose glue, or leave it out for JSON Lines")
    elif OmegaConf.is_list(cfg.artifact):
        raise ConfigError("artifact: give one folder; a list of folders goes with +format=glue")
    elif (cfg.text is None) == (cfg.input is None):
        raise ConfigError('text, input: give one of them, text="..." or input=<file>')
    elif cfg.text_pair is not None and cfg.text is None:
        raise ConfigError("text_pair: goes with text=; in a file the second text has a column of its own")


def given_text(cfg: DictConfig, task: Any) -> tuple[str, ...]:
    """The command line's text, or pair of texts.

    Args:
        cfg: the composed configuration of `conf/predict.yaml`.
        task: the `Task` of the model.

    Returns:
        One text, or two for a task on pairs.

    Raises:
        ConfigError: if the task takes another number of texts, or is multiple choice.
    """
    if task.is_multiple_choice:
        raise ConfigError(
            f"text: '{task.name}' is multiple choice; give input=<file.jsonl> with the keys "
            f"{' and '.join(task.text_columns)}"
        )
    texts = tuple(str(text) for text in (cfg.text, cfg.text_pair) if text is not None)
    if len(texts) != len(task.text_columns):
        needed = "one text, text=" if len(task.text_columns) == 1 else "two texts, text= and text_pair="
        raise ConfigError(f"text_pair: '{task.name}' takes {needed}")
    return texts


if __name__ == "__main__":
    sys.argv = quote_values({"text", "text_pair"}, sys.argv, or_grammar={"artifact", "input", "output"})
    entry_point(predict, "predict")
