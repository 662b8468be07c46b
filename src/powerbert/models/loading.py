"""Load models and tokenizers from checkpoint folders.

A checkpoint must hold every weight that the model needs; transformers alone draws missing ones at random
after a warning. Models are in float32 and in evaluation mode. Each function raises ModelError for a folder
that holds no checkpoint of a supported backbone, or one that lacks weights, and ConfigError for positions
that transformers ignores.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    CONFIG_MAPPING,
    AlbertTokenizer,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    logging,
)
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from powerbert.base.errors import ConfigError, ModelError
from powerbert.models.backbone import (
    ALIKE,
    BACKBONES,
    ENTRY_POINTS,
    TASKS,
    find_backbone,
    longest_input,
)
from powerbert.models.configuration import EXCLUSIVE, POWER_FIELDS, check_position_embedding_type

VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model")
PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
HOW_TO_CONVERT = (
    "only safetensors are read, since a pickled file can run code. Convert it, in its folder: "
    'python -c "import glob, torch; from safetensors.torch import save_file; '
    "save_file({k: v.contiguous().clone() for f in glob.glob('pytorch_model-*.bin') or ['pytorch_model.bin'] "
    "for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}, "
    "'model.safetensors', {'format': 'pt'})\""
)
"""For error messages. The command runs none of the file's code; all shards become one file."""

REPLACED: dict[str, dict[str, Any]] = {
    **{name: {other: None for other in EXCLUSIVE if other != name} for name in EXCLUSIVE},
    "selection": {"selection_order": None},
}
"""The elimination fields of a checkpoint that are reset where another field is set."""
for name in EXCLUSIVE[1:]:
    REPLACED[name] |= {"selection": "attn", "selection_order": None}

Folder = str | os.PathLike[str]


def load_host_model(
    folder: Folder, task: str = "sequence_classification", *, finished: bool = False, **config_fields: Any
) -> PreTrainedModel:
    """Load the host model of a task, a key of ``TASKS`` or ``ALIKE``, from any checkpoint of its backbone.

    Weights of the task's head, and of the pooler before it, are drawn at random if they are missing or of
    another size. A checkpoint that has lost heads is loaded as a power model that eliminates nothing.

    ``config_fields`` are fields of the config to set, such as ``num_labels`` and ``id2label``. A ``finished``
    checkpoint must have the head and, if it names classes, the same ones in the same order.
    """
    checkpoint = _Checkpoint(folder)
    if finished:
        checkpoint.check_classes(config_fields.get("id2label", {}))
    outdated = set(POWER_FIELDS)
    config_class = CONFIG_MAPPING[checkpoint.backbone.host_type]
    if checkpoint.fields.get("encoder_heads") is not None:
        outdated -= {"encoder_heads", "kept_heads"}
        config_class = checkpoint.backbone.config
    if config_fields.keys() & {"num_labels", "id2label"}:
        outdated |= {"id2label", "label2id", "problem_type", "label_thresholds"}
    stored = {key: value for key, value in checkpoint.fields.items() if key not in outdated}
    config = checkpoint.config(config_class, stored | config_fields)
    try:
        return checkpoint.load(task, config, random_head=not finished)
    except ModelError as error:
        if not finished:
            raise
        raise ModelError(f"{error}; stages.finetune.max_epochs=0 needs a finished classifier") from error


def load_power_model(
    folder: Folder, task: str = "sequence_classification", **power_fields: Any
) -> PreTrainedModel:
    """Load a model with word-vector elimination from a host's or power model's checkpoint for the same task.

    Elimination fields that are not given stay as the checkpoint has them, but a retention configuration
    replaces soft-extract layers, and the other way round, and a word-vector selection replaces another.
    Retention parameters that the checkpoint does not have start at 1, thresholds at 0.

    Raises:
        ConfigError: If the elimination fields do not fit the model.
        TypeError: If a field is not an elimination field.
    """
    unknown = power_fields.keys() - set(POWER_FIELDS)
    if unknown:
        raise TypeError(f"not elimination fields: {', '.join(sorted(unknown))}")
    checkpoint = _Checkpoint(folder)
    fields = checkpoint.fields
    for name, value in power_fields.items():
        if value is not None:
            fields = fields | REPLACED.get(name, {})
    return checkpoint.load(task, checkpoint.config(checkpoint.backbone.config, fields | power_fields))


def load_config(folder: Folder) -> PreTrainedConfig:
    """Read the config of a checkpoint, without its weights."""
    return _Checkpoint(folder).saved_config()


def load_model(folder: Folder) -> PreTrainedModel:
    """Load a finished model, host or power, for the task that it was saved for."""
    checkpoint = _Checkpoint(folder)
    for task, auto_class in TASKS.items():
        if checkpoint.architecture.endswith(auto_class.__name__.removeprefix("AutoModel")):
            return checkpoint.load(task, checkpoint.saved_config())
    raise ModelError(
        f"{checkpoint} holds {checkpoint.architecture or 'an unknown architecture'}, "
        "which no task of powerbert uses; fine-tune it first"
    )


class _Checkpoint:
    """A checkpoint folder and its ``config.json``; ``fields`` are the arguments of the config class."""

    def __init__(self, folder: Folder) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ModelError(f"{self} does not exist")
        file = self.folder / "config.json"
        if not file.is_file():
            raise ModelError(f"{self} has no config.json; it must be a Hugging Face checkpoint")
        try:
            self.fields = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{self}: config.json cannot be read ({_one_line(error)})") from error
        self.model_type = str(self.fields.pop("model_type", "unknown"))
        self.architecture = (self.fields.pop("architectures", None) or [""])[0]
        self.fields.pop("auto_map", None)  # powerbert's own classes are used, not the code beside the weights
        backbone = find_backbone(self.model_type)
        if backbone is None:
            raise ModelError(
                f"{self}: the model type '{self.model_type}' is not supported; supported are "
                f"{', '.join(BACKBONES)}; other packages add backbones as entry points {ENTRY_POINTS}"
            )
        self.backbone = backbone

    def __str__(self) -> str:
        return f"model folder {self.folder}"

    def config(self, config_class: type[PreTrainedConfig], fields: dict[str, Any]) -> PreTrainedConfig:
        try:
            config = config_class.from_dict(fields)
        except (StrictDataclassError, ValueError, TypeError) as error:
            raise ModelError(f"{self}: config.json does not fit ({_one_line(error)})") from error
        check_position_embedding_type(config)
        return config

    def saved_config(self) -> PreTrainedConfig:
        return self.config(CONFIG_MAPPING[self.model_type], self.fields)

    def check_classes(self, names: Mapping[int, str]) -> None:
        """Raise ConfigError unless the checkpoint's classes have these names by index, or no names."""
        own = sorted((int(index), str(name)) for index, name in self.fields.get("id2label", {}).items())
        unnamed = all(name == f"LABEL_{index}" for index, name in own)
        given, theirs = list(names.values()), [name for _, name in own]
        if given and not unnamed and [name.lower() for name in given] != [name.lower() for name in theirs]:
            raise ConfigError(
                f"dataset.label_names: {given} are not the classes of {self}, in this order {theirs}"
            )

    def load(self, task: str, config: PreTrainedConfig, random_head: bool = False) -> PreTrainedModel:
        """Load the weights into the task's model class for ``config``, and account for every one of them."""
        task = ALIKE.get(task, task)
        if task not in self.backbone.tasks:
            able = ", ".join(name for name, backbone in BACKBONES.items() if task in backbone.tasks)
            raise ModelError(
                f"{self}: {task.replace('_', ' ')} is not supported with {self.backbone.host_type} models; "
                f"it is with {able}"
            )
        if only_pickled(path.name for path in self.folder.iterdir()):
            raise ModelError(f"{self} has pickled weights and no safetensors: {HOW_TO_CONVERT}")
        try:
            with quiet_transformers():
                model, report = TASKS[task].from_pretrained(
                    self.folder,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=False,
                    local_files_only=True,
                    ignore_mismatched_sizes=True,  # they are in the report
                    output_loading_info=True,
                )
        except (SafetensorError, RuntimeError, OSError, ValueError) as error:
            raise ModelError(f"{self}: the weights cannot be loaded ({_one_line(error)})") from error
        base = f"{model.base_model_prefix}."
        searched = (f"{base}soft_extract.", f"{base}soft_threshold.")
        lacking = [key for key in report["missing_keys"] if not key.startswith(searched)]
        lacking += [
            f"{key} ({list(old)} instead of {list(new)})" for key, old, new in report["mismatched_keys"]
        ]
        if random_head:
            lacking = [
                key for key in lacking if key.startswith(base) and not key.startswith(f"{base}pooler.")
            ]
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            raise ModelError(
                f"{self}: the weights are not those of {type(model).__name__} as config.json "
                f"describes it; missing: {', '.join(sorted(lacking)[:3])}{more}"
            )
        return model


def load_tokenizer(folder: Folder) -> TokenizersBackend:
    """Load a checkpoint's tokenizer; it truncates and pads only as each call asks.

    Its ``model_max_length`` is at most what the model has positions for.
    """
    if not any((Path(folder) / name).is_file() for name in VOCABULARY_FILES):
        # transformers would make a tokenizer of the special tokens alone.
        raise ModelError(
            f"model folder {folder} has no tokenizer: it needs one of {', '.join(VOCABULARY_FILES)}"
        )
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing more specific
        unread = any(Path(folder).glob("*.model")) and find_spec("sentencepiece") is None
        hint = "; its .model file needs: pip install sentencepiece" if unread else ""
        raise ModelError(f"model folder {folder}: the tokenizer cannot be read ({error}){hint}") from error
    assert isinstance(tokenizer, TokenizersBackend)
    if (Path(folder) / "config.json").is_file():
        config = load_config(folder)
        tokenizer.model_max_length = min(tokenizer.model_max_length, longest_input(config))
        if (last := max(tokenizer.get_vocab().values())) >= config.vocab_size:
            raise ModelError(
                f"model folder {folder}: the tokenizer has word pieces up to number {last}, but the model "
                f"embeds {config.vocab_size}; give the model's own tokenizer, or resize its embedding"
            )
    if isinstance(tokenizer, AlbertTokenizer):
        # ALBERT was pretrained with token types, but since transformers 5 its tokenizer leaves them out
        # (huggingface/transformers#48128). The second line makes the tokenizer's copies do the same.
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def only_pickled(names: Iterable[str]) -> bool:
    """Return whether a checkpoint with files of these names has pickled weights and no safetensors."""
    names = list(names)
    pickled = any(fnmatch(name, pattern) for name in names for pattern in PICKLED_WEIGHTS)
    return pickled and not any(name.endswith(".safetensors") for name in names)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' reports and progress bars of loading and saving within the block."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
