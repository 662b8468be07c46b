"""A made-up corpus that a tiny model learns within seconds."""

from pathlib import Path

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
