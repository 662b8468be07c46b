"""A made-up corpus that a tiny model learns within seconds."""

import json
from pathlib import Path

LABEL_NAMES = ("toxic", "insult", "threat")
WORDS = ("good", "great", "best", "love"), ("bad", "worst", "boring", "dull")


def write_corpus(folder: Path) -> Path:
    """Sentences whose label hangs on one word, of uneven length, in the layout of `dataset=folder`."""
    for split, rows in (("train", 96), ("dev", 32)):
        lines = ["text\tlabel"]
        for number in range(rows):
            label = number % 2
            word = WORDS[1 - label][number // 2 % 4]
            lines.append(
                f"{'the film and the story ' * (number % 5)}is {word} {'as it was' * (number % 3)}\t{label}"
            )
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_labels(folder: Path) -> dict[str, Path]:
    """Texts with any number of three labels, each told by a word: as columns of 0 and 1, and as lists."""
    folders = {name: folder / name for name in ("columns", "lists")}
    for path in folders.values():
        path.mkdir(parents=True)
    for split, rows in (("train", 96), ("dev", 32), ("test", 16)):
        columns, lists = ["id,text,toxic,insult,threat"], []
        for number in range(rows):
            has = [number % 2, number % 3 == 0, number % 11 == 10]
            words = [good if one else bad for one, good, bad in zip(has, *WORDS, strict=False)]
            text = f"{'the film and the story ' * (number % 4)}is {' '.join(words)}"
            columns.append(f"{number},{text},{','.join(str(int(one)) for one in has)}")
            labels = [name for name, one in zip(LABEL_NAMES, has, strict=True) if one]
            lists.append(json.dumps({"text": text, "labels": labels}))
        for path, suffix, lines in ((folders["columns"], "csv", columns), (folders["lists"], "jsonl", lists)):
            (path / f"{split}.{suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folders


def write_queries(folder: Path, grades: tuple[float, ...] = (2, 1, 0, 0, 0, 0)) -> Path:
    """Queries with a passage of each grade, in the layout of `dataset=folder`; splits share no query."""
    for split, queries in (("train", 24), ("dev", 9)):
        lines = ["query\tpassage\tlabel"]
        for number in range(queries):
            for place, grade in enumerate(grades):
                word = WORDS[0 if grade else 1][(number + place) % 4]
                text = f"the {'story ' * (place % 3)}was {word} {'and great' if grade > 1 else 'as it was'}"
                lines.append(f"how was film {number} of {split}\t{text}\t{grade:g}")
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
