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
