"""What a user can get wrong ends every command within seconds, with one message that names key or file."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from powerbert.base.cli import CONFIG_FOLDER
from tests.fixtures import corpus, dataset, finetuned, make_artifact, retrained  # noqa: F401
from tests.forked import door, replaced
from tests.tiny_runs import RERANKING as RERANKS
from tests.tiny_runs import overrides

LIMIT = 60
"""Seconds after which a command is killed, which is a failure."""

ROWS = "a good film\tpositive\na bad film\tnegative\n" * 4
DATA = {"data/train.tsv": f"text\tlabel\n{ROWS}", "data/dev.tsv": f"text\tlabel\n{ROWS}"}
TRAIN = overrides(Path("data"), Path("runs"), "trainer.max_epochs=1", "trainer.accelerator=cpu")
REGRESSION = "dataset.label_names=null dataset.metric=spearman"
RERANKING = " ".join(RERANKS)
TRAIN_FILE = r"data/train\.tsv"


@dataclass(frozen=True)
class Case:
    """A command that must fail.

    Attributes:
        door: the module of `powerbert` that is run.
        arguments: of its command line. `TINY`, `FINETUNED` and `RETRAINED` are the folders of a checkpoint
            and of two artifacts; relative paths lie in the test's own folder.
        named: what the message must match: the key or the file.
        files: contents by path; None deletes. For `train`, `data/` holds a valid dataset beforehand.
        copies: folders that are copied before `files` damage them.
        name: of the case; none: its arguments.
        several: the message lists several things, one a line.
    """

    door: str
    arguments: str
    named: str
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    several: bool = False

    @property
    def id(self) -> str:
        return f"{self.door}: {self.name or self.arguments or 'nothing'}"


def data(name: str, files: Mapping[str, str | bytes | None], named: str = TRAIN_FILE, more: str = "") -> Case:
    return Case("train", more, named, files, name=name)


def rows(name: str, text: str | bytes, named: str = TRAIN_FILE, more: str = "") -> Case:
    """A case of a bad `train.tsv`."""
    return data(name, {"data/train.tsv": text}, named, more)


def ranks(name: str, text: str, named: str) -> Case:
    """A case of bad grades in both files of a reranker."""
    return data(name, {"data/train.tsv": text, "data/dev.tsv": text}, f"split 'train'.*{named}", RERANKING)


def other(suffix: str, name: str, text: str | bytes) -> Case:
    """A case of a bad train file in another format."""
    return data(
        f"{suffix}, {name}",
        {"data/train.tsv": None, f"data/train.{suffix}": text},
        re.escape(f"data/train.{suffix}"),
    )


def setting(argument: str, named: str = "", more: str = "") -> Case:
    """A case of one bad setting of a run, which the message names."""
    key = argument.split("=")[0].lstrip("+~")
    return Case("train", f"{argument} {more}".strip(), named or re.escape(key))


BAD_DATA = [
    rows("missing label", "text\tlabel\na good film\t\n"),
    rows("unknown label", "text\tlabel\na good film\tmaybe\n"),
    rows("too many fields", "text\tlabel\na good\tfilm\tpositive\n"),
    rows("too few fields", "text\tlabel\na good film\n"),
    rows("not UTF-8", b"text\tlabel\na good fil\xff\tpositive\n"),
    rows("empty", ""),
    rows("header alone", "text\tlabel\n"),
    rows("no column of labels", "text\tanswer\na good film\tpositive\n"),
    rows("no column of texts", "review\tlabel\na good film\tpositive\n"),
    rows("a column twice", "text\ttext\tlabel\na\tb\tpositive\n"),
    rows("not a number", "text\tlabel\na good film\tmuch\n", more=REGRESSION),
    rows("NaN", "text\tlabel\na good film\tnan\n", more=REGRESSION),
    rows("no column of queries", "question\tpassage\tlabel\na\tb\t1\n", more=RERANKING),
    rows("no grade", "query\tpassage\tlabel\na\tb\t\n", more=RERANKING),
    rows("a grade that is no number", "query\tpassage\tlabel\na\tb\tgood\n", more=RERANKING),
    rows("an infinite grade", "query\tpassage\tlabel\na\tb\tinf\n", more=RERANKING),
    ranks("a negative grade", "query\tpassage\tlabel\na\tb\t1\na\tc\t-1\n", "row 2.*-1 is negative"),
    ranks("no relevant passage", "query\tpassage\tlabel\na\tb\t0\n", "no relevant passage"),
    data("the metric of a reranker", {}, r"dataset\.metric", RERANKING.replace("ndcg@10", "accuracy")),
    data("one column of a reranker", {}, "text_columns", RERANKING.replace("query,passage", "query")),
    data("a bad row of dev", {"data/dev.tsv": "text\tlabel\nfine\tmaybe\n"}, r"data/dev\.tsv"),
    data("no train", {"data/train.tsv": None}, r"data: .*train"),
    data("no dev", {"data/dev.tsv": None}, r"data: .*dev"),
    data("no test", {}, "test", "dataset.evaluation_split=test"),
    data("two files of train", {"data/train.csv": "text,label\n"}, r"train\.csv"),
    data("unknown kind of file", {"data/train.tsv": None, "data/train.xml": "<x/>"}, r"data: .*train"),
    data("no folder", {}, r"dataset\.source\.path=nowhere", "dataset.source.path=nowhere"),
    data("no path", {}, r"dataset\.source\.path", "dataset.source.path=null"),
    data("a file as folder", {}, r"dataset\.source\.path=data/dev\.tsv", "dataset.source.path=data/dev.tsv"),
    other("jsonl", "null text", '{"text": null, "label": "positive"}\n'),
    other("jsonl", "a list as text", '{"text": ["a"], "label": "positive"}\n'),
    other("jsonl", "null label", '{"text": "a good film", "label": null}\n'),
    other("jsonl", "no column", '{"review": "a good film", "label": "positive"}\n'),
    other("jsonl", "no JSON", "a good film\n"),
    other("jsonl", "no object", "[1, 2]\n"),
    other("jsonl", "half of a surrogate pair", '{"text": "\\ud800", "label": "positive"}\n'),
    other("csv", "an open quote", 'text,label\n"a good film,positive\n'),
    other("tsv.gz", "not gzip", "text\tlabel\n"),
    other("parquet", "not Parquet", "text\tlabel\n"),
    data("GLUE: no folder", {}, "GLUE_DIR=nowhere", "dataset=rte dataset.source.folder=nowhere"),
    data(
        "GLUE: no dev",
        {"data/RTE/train.tsv": "index\tsentence1\tsentence2\tlabel\n"},
        r"RTE/dev\.tsv",
        "dataset=rte dataset.source.folder=data",
    ),
    data(
        "GLUE: unknown task",
        {},
        r"dataset\.source\.task",
        "dataset=rte dataset.source.folder=data dataset.source.layout=null dataset.source.task=rt",
    ),
    data("IMDB: no files", {}, "IMDB_DIR=runs", "dataset=imdb dataset.source.folder=runs"),
    data("RACE: no files", {}, "RACE_DIR=data", "dataset=race dataset.source.folder=data"),
    data(
        "RACE: unknown level",
        {},
        r"dataset\.source\.level",
        "dataset=race dataset.source.folder=data dataset.source.level=low",
    ),
    data(
        "RACE: no article",
        {f"data/{split}/high/1.txt": "[]" for split in ("train", "dev", "test")},
        r"data/train/high/1\.txt",
        "dataset=race dataset.source.folder=data dataset.max_length=32",
    ),
    data(
        "snippets: unknown name", {}, r"dataset\.source\.name", "dataset=snippets dataset.source.name=books"
    ),
    data(
        "snippets: another archive",
        {},
        r"data/dev\.tsv",
        "dataset=snippets dataset.source.archive=data/dev.tsv",
    ),
    data("hub: no path", {}, r"dataset\.source\.path", "dataset=hub"),
    Case(
        "train",
        "dataset.source.path=nowhere model.path=missing",
        r"dataset\.source\.path=nowhere.*\n.*model\.path",
        name="neither data nor model",
        several=True,
    ),
]

KIND = "dataset.kind=multi_label_classification"
COLUMNS = f"{KIND} dataset.label_columns=[toxic,insult]"
LISTS = f"{KIND} dataset.label_names=[toxic,insult] dataset.source.label_column=labels"


def labels(name: str, text: str, named: str, more: str = COLUMNS, suffix: str = "csv") -> Case:
    """A case of bad labels in both files."""
    files = {f"data/{split}.{suffix}": text for split in ("train", "dev")}
    gone = {f"data/{split}.tsv": None for split in ("train", "dev")}
    return data(f"labels: {name}", gone | files, named, more)


FLAGS = "text,toxic,insult\na,1,0\nb,0,0\n"
RUDE = '{"text": "a", "labels": ["rude"]}\n'
BAD_LABELS = [
    labels("2 in a column of 0 and 1", f"{FLAGS}c,2,0\n", r"data/train\.csv, row 3.*'toxic'.*'2'"),
    labels("a column that is missing", "text,toxic\na,1\n", r"data/train\.csv: has no column 'insult'"),
    labels("an unknown one", RUDE, r"data/train\.jsonl, row 1.*'rude'", LISTS, "jsonl"),
    labels("another kind", FLAGS, r"dataset\.label_columns", "dataset.label_columns=[toxic,insult]"),
    labels("no classes", FLAGS, r"dataset\.label_names", f"{KIND} dataset.label_names=null"),
    labels("no row to balance", FLAGS, "class_weights: .*'insult'", f"{COLUMNS} class_weights=balanced"),
    labels(
        "three weights of two", FLAGS, "class_weights: 3.*toxic, insult", f"{COLUMNS} class_weights=[1,2,3]"
    ),
    rows(
        "nan among numbers",
        "text\tlabel\na\t0\nb\t1\nc\tnan\n",
        r"train\.tsv, row 3.*'nan'",
        "dataset.label_names=auto",
    ),
    rows("no row to balance", "text\tlabel\na\tnegative\n", "'positive'", "class_weights=balanced"),
    data("weights of a regression", {}, "class_weights", f"{REGRESSION} class_weights=balanced"),
]

DISTILBERT, PKD, PRUNE = "method=distilbert", "method=bert_pkd", "method=head_prune"
BAD_SETTINGS = [
    *map(
        setting,
        (
            *("lambda=-1", "lambda=nan", "lambda=much", "learning_rate=0", "retention_learning_rate=0"),
            *("weight_decay=-1", "warmup_ratio=1.5", "checkpoint_minutes=-1", "seed=-1", "seed=1.5"),
            *("class_weights=[1]", "class_weights=[1,0]"),
            *("batch_size=0", "batch_size=null", "trials=0", "longer_than=0", "stage=prune"),
            *("stages.search.learning_rate=0", "stages.finetune.batch_size=0", "stages.retrain.max_epochs=0"),
            *("dataset.max_length=2", "dataset.max_length=100000", "dataset.metric=bleu", "dataset.kind=ner"),
            *("dataset.evaluation_split=validation", "dataset.text_columns=[]", "dataset.label_names=[a]"),
            *("dataset.label_names=[a,a]", "elimination.rounding=up", "elimination.retrain_from=start"),
            *("elimination.protect=query", "elimination.protect=first_text"),
            *("elimination.selection=best", "elimination.retention_configuration=[20,10]"),
            *("elimination.retention_configuration=[5,6,3]", "elimination.retention_configuration=[5,0,0]"),
            *(
                "elimination.retention_configuration=[5,2.5,1]",
                "elimination.retention_configuration=[33,2,1]",
            ),
            *("measure.runs=0", "+measure.statistic=mode", "+objectives=[sped]", "model.backbone=gpt"),
            *("paths.runs=s3://bucket/runs", "paths.artifacts=s3://bucket", "paths.cache=s3://bucket"),
            *(
                "paths.logs=s3://bucket",
                "records=s3://bucket",
                "+trainer.num_nodes=2",
                "measure.runs=x",
            ),
        ),
    ),
    setting("method.encoders=0", more=DISTILBERT),
    setting("method.encoders=3", more=PKD),
    setting("method.alpha=2", more=PKD),
    setting("method.temperature=0", more=DISTILBERT),
    setting("method.cosine=-1", more=DISTILBERT),
    setting("method.beta=-1", more=PKD),
    setting("method.pruned=0", more=PRUNE),
    setting("method.pruned=1.5", more=PRUNE),
    setting("method.inputs=0", more=PRUNE),
    setting("method.epochs=0", more="method=dense"),
    setting("stage=search", "stage", more="method=dense"),
    setting("trainer.precision=13", "[Pp]recision"),
    setting("trainer.accelerator=quantum", "accelerator"),
    setting("trainer.strategy=fsdp", "strategy"),
    setting("+trainer.max_epoch=1", "max_epoch"),
]

WEIGHTS = "model.safetensors"
TINY = {"model": "TINY"}
BROKEN = {"model": "FINETUNED"}


def model(name: str, files: Mapping[str, str | bytes | None], named: str = r"\bmodel\b", **more) -> Case:
    """A case of a damaged copy of a pretrained checkpoint, from which a run starts."""
    return Case("train", "model.path=model", named, files, more.get("copies", TINY), name)


BAD_MODELS = [
    Case("train", "model.path=nowhere/at/all", r"model\.path"),
    Case("train", "model.path=null model=bert_base", r"model\.path"),
    Case("train", "model.path=data", r"\bdata\b.*config\.json", name="no checkpoint"),
    model("no weights", {f"model/{WEIGHTS}": None}),
    model("pickled weights", {f"model/{WEIGHTS}": None, "model/pytorch_model.bin": b"\x80\x02."}),
    model("truncated weights", {f"model/{WEIGHTS}": b"\x10\x00\x00"}),
    model("config.json is no JSON", {"model/config.json": "{"}),
    model("config.json is no object", {"model/config.json": "[1]"}),
    model("unknown model type", {"model/config.json": '{"model_type": "gpt2"}'}),
    model("config.json with a bad size", {"model/config.json": '{"model_type": "bert", "hidden_size": "x"}'}),
    model("config.json of another model", {"model/config.json": '{"model_type": "bert"}'}),
    model("damaged tokenizer", {"model/tokenizer.json": "{"}),
    model("no tokenizer", {"model/tokenizer.json": None, "model/vocab.txt": None}),
]

TEXT = "text=fine"
INPUT = {"texts.txt": "a good film\n"}
BAD_COMMANDS = [
    Case("predict", TEXT, "artifact"),
    Case("predict", "artifact=nowhere text=fine", "nowhere"),
    Case("predict", "artifact=FINETUNED", "text, input"),
    Case("predict", "artifact=FINETUNED text=fine input=texts.txt", "text, input", INPUT),
    Case("predict", "artifact=FINETUNED input=texts.txt text_pair=fine", "text_pair", INPUT),
    Case("predict", "artifact=FINETUNED text=fine text_pair=fine", "text_pair"),
    Case("predict", "artifact=[a,b] text=fine", "artifact"),
    Case("predict", "artifact=FINETUNED text=fine query=good", "query"),
    Case("predict", "artifact=FINETUNED input=texts.txt query=good", "query", INPUT),
    Case("predict", "artifact=FINETUNED text=fine batch_size=0", "batch_size"),
    Case("predict", "artifact=FINETUNED format=xml", "format"),
    Case("predict", "artifact=FINETUNED format=glue text=fine", "format"),
    Case("predict", "artifact=FINETUNED format=glue", "output"),
    Case("predict", "artifact=FINETUNED format=glue output=out", "artifact"),
    Case("predict", "artifact=FINETUNED input=nowhere.txt", r"nowhere\.txt"),
    Case("predict", "artifact=FINETUNED input=texts.doc", r"texts\.doc", {"texts.doc": "fine\n"}),
    Case("predict", "artifact=FINETUNED input=texts.txt", r"texts\.txt", {"texts.txt": "a\tb\n"}),
    Case("predict", "artifact=FINETUNED input=texts.txt", r"texts\.txt", {"texts.txt": ""}, name="empty"),
    Case("predict", "artifact=FINETUNED input=a.csv", r"a\.csv", {"a.csv": "review\nfine\n"}, name="column"),
    Case("predict", "artifact=FINETUNED text=fine output=.", "output"),
    Case("predict", "artifact=model text=fine", "model", {"model/manifest.json": "{"}, BROKEN, "manifest"),
    Case("predict", "artifact=model text=fine", "model", {"model/config.json": "{"}, BROKEN, "config"),
    Case("predict", "artifact=model text=fine", "model", {f"model/{WEIGHTS}": b"x"}, BROKEN, "weights"),
    Case("analyse", "analysis=cosine", "artifact"),
    Case("analyse", "analysis=cosine artifact=nowhere", "nowhere"),
    Case("analyse", "analysis=cosine artifact=FINETUNED batch_size=0", "batch_size"),
    Case("analyse", "analysis=cosine artifact=FINETUNED limit=0", "limit"),
    Case("analyse", "analysis=cosine artifact=FINETUNED split=test", "test"),
    Case("analyse", "analysis=cosine artifact=TINY", "dataset|TINY|tiny"),
    Case("analyse", "analysis=trace artifact=FINETUNED", "artifact"),
    Case("analyse", "analysis=trace artifact=RETRAINED analysis.inputs=0", r"analysis\.inputs"),
    Case("analyse", "analysis=mutual_information artifact=RETRAINED", "artifact"),
    Case(
        "analyse",
        "analysis=mutual_information artifact=FINETUNED analysis.encoders=[9]",
        r"analysis\.encoders",
    ),
    Case(
        "analyse",
        "analysis=mutual_information artifact=FINETUNED analysis.positions=x",
        r"analysis\.positions",
    ),
    Case("analyse", "analysis=retention", "artifact, records"),
    Case("analyse", "analysis=retention artifact=FINETUNED", "finetune"),
    Case("analyse", "analysis=retention records=nowhere", "nowhere"),
    Case("export", "", "artifact"),
    Case("export", "artifact=nowhere", "nowhere"),
    Case("export", "artifact=FINETUNED format=tflite", "format"),
    Case("export", "artifact=FINETUNED precision=int3", "precision"),
    Case("export", "artifact=FINETUNED format=torch_export precision=int8", "precision"),
    Case("export", "artifact=FINETUNED precision=[]", "precision"),
    Case("export", "artifact=FINETUNED check=validation", "check"),
    Case("export", "artifact=FINETUNED batch_size=0", "batch_size"),
    Case("export", "artifact=FINETUNED threads=0", "threads"),
    Case("export", "artifact=FINETUNED output=FINETUNED", "output"),
    Case("export", "artifact=FINETUNED output=file", "output", {"file": ""}),
    Case("export", "artifact=FINETUNED format=torch_export check=test", "test"),
    Case("benchmark", "shape=tiny batch_size=[]", "batch_size"),
    Case("benchmark", "shape=tiny batch_size=0", "batch_size"),
    Case("benchmark", "shape=tiny runtimes=[tpu]", "runtimes"),
    Case("benchmark", "shape=tiny protocols=[odd]", "protocols"),
    Case("benchmark", "shape=tiny retention=unknown", "retention"),
    Case("benchmark", "shape=tiny retention=[5,6,3]", "retention"),
    Case("benchmark", "shape=tiny retention=[5,3]", "retention"),
    Case("benchmark", "shape=tiny length=100000", "length"),
    Case("benchmark", "shape=tiny runs=0", "runs"),
    Case("benchmark", "shape=tiny seconds=0", "seconds"),
    Case("benchmark", "shape=tiny median_length=2", "median_length"),
    Case("benchmark", "shape=tiny inference=false", "inference"),
    Case("benchmark", "shape=tiny device=abacus", "device"),
    Case("benchmark", "shape=tiny shape.model_type=gpt", r"shape\.model_type"),
    Case("benchmark", "shape=tiny output=file", "output", {"file": ""}),
    Case("benchmark", "artifact=nowhere", "nowhere"),
    Case("report", "", "runs/records"),
    Case("report", "records=nowhere report=pareto", "nowhere"),
    Case("report", "records=data report=pareto", "records", {"data/none.txt": ""}, name="no records"),
    Case("report", "records=data", r"data/a\.json", {"data/a.json": "{"}, name="no JSON"),
    Case("report", "records=data", r"data/a\.json", {"data/a.json": "[]"}, name="no object"),
    Case("report", "records=data", r"data/a\.json", {"data/a.json": "{}"}, name="no fields"),
    Case(
        "report", "records=data", r"record_version", {"data/a.json": '{"record_version": 99}'}, name="newer"
    ),
    Case("report", "records=RECORDS report.table=table9", r"report\.table"),
    Case("report", "records=RECORDS report=pareto report.tolerance=-1", r"report\.tolerance"),
    Case("report", "records=RECORDS report=pareto report.margin=0", r"report\.margin"),
    Case("report", "records=RECORDS report=pareto output=file", "output", {"file": ""}),
    Case("retime", "records=RECORDS output=RECORDS", "output"),
    Case("retime", "records=RECORDS output=new at_once=0", "at_once"),
    Case("retime", "records=nowhere output=new", "nowhere"),
    Case("retime", "records=RECORDS output=new", r"artifact.*runs/artifacts"),
    Case("status", "", "runs/records"),
    Case("status", "records=nowhere", "nowhere"),
]

METHODS = sorted(path.stem for path in (CONFIG_FOLDER / "method").glob("*.yaml"))
NO_POINTS = " ".join(f"hydra.sweeper.points.{name}=null" for name in METHODS)
SWEEPS = [
    Case("train", f"+sweep=pareto {NO_POINTS}", r"hydra\.sweeper\.points", name="no points"),
    Case("train", "+sweep=pareto hydra.sweeper.points.dense=7", r"hydra\.sweeper\.points\.dense"),
    Case("train", "+sweep=pareto lambda=0.1", "lambda"),
    Case("train", "+sweep=max_loss max_loss=nan", "max_loss"),
    Case("train", "+sweep=max_loss lambda=0.1,0.2", "lambda"),
    Case("train", "-m lambda=-1", r"lambda.*\n1 point", several=True),
]


def told(stdout: str, stderr: str) -> str:
    """The one message of a command that failed; no traceback is anywhere."""
    assert "Traceback" not in stdout + stderr, stderr
    starts = [start.start() for start in re.finditer("^error: ", stderr, re.MULTILINE)]
    assert len(starts) == 1, stderr
    return stderr[starts[0] :].rstrip()


def shown(case: Case) -> pytest.param:
    return pytest.param(case, id=case.id)


@pytest.fixture
def places(tiny_checkpoint, finetuned, retrained, record) -> dict[str, str]:  # noqa: F811
    return {
        "TINY": str(tiny_checkpoint),
        "FINETUNED": str(finetuned),
        "RETRAINED": str(retrained),
        "RECORDS": str(record),
    }


@pytest.fixture(scope="session")
def record(tmp_path_factory) -> Path:
    """A folder of records, whose artifacts are elsewhere."""
    folder = tmp_path_factory.mktemp("records")
    found = sorted((Path(__file__).parents[1] / "experiments/pareto-minilm/records").rglob("*.json"))
    shutil.copy(found[0], folder)
    return folder


def prepare(case: Case, folder: Path, places: dict[str, str]) -> list[str]:
    """Write the files of a case to its folder.

    Returns:
        The arguments of its command line.
    """
    for target, source in case.copies.items():
        shutil.copytree(places[source], folder / target)
    for name, content in {**(DATA if case.door == "train" else {}), **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = re.sub("|".join(places), lambda found: places[found[0]], case.arguments)
    arguments = shlex.split(given)
    if case.door != "train":
        return arguments
    kept = TRAIN
    if any(argument.startswith("dataset=") for argument in arguments):
        kept = [argument for argument in TRAIN if not argument.startswith("dataset")]
    return replaced(kept, arguments)


@pytest.mark.parametrize(
    "case", map(shown, [*BAD_DATA, *BAD_LABELS, *BAD_SETTINGS, *BAD_MODELS, *BAD_COMMANDS, *SWEEPS])
)
def test_one_message_names_what_is_wrong(case, tmp_path, places):
    command = door(tmp_path, f"powerbert.{case.door}", *prepare(case, tmp_path, places))
    command.process.join(LIMIT)
    if command.process.exitcode is None:
        command.process.kill()
        pytest.fail(f"still runs after {LIMIT} s: {command.stderr}")
    message = told(command.stdout, command.stderr)
    assert command.process.exitcode == 1
    assert case.several or "\n" not in message
    assert re.search(case.named, message), message


@pytest.mark.parametrize("case", map(shown, [BAD_DATA[1], BAD_COMMANDS[0], SWEEPS[0]]))
def test_a_process_of_its_own_ends_too(case, tmp_path, places):
    """An interpreter that closes has more to wait for than a forked child."""
    command = [sys.executable, "-m", f"powerbert.{case.door}", *prepare(case, tmp_path, places)]
    done = subprocess.run(command, cwd=tmp_path, timeout=LIMIT, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(case.named, told(done.stdout, done.stderr))
