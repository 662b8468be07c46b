"""One or two rows of each GLUE task in the layout of GLUE's download, and the expected datasets."""


def tsv(header: str, *rows: list[str]) -> str:
    """A file of tab-separated fields; `header` is separated by blanks, or empty."""
    lines = [header.split(" "), *rows] if header else rows
    return "".join("\t".join(line) + "\n" for line in lines)


def task(folder: str, header: str, train: list[str], dev: list[str], test: list[str]) -> dict[str, str]:
    """The files of a task, whose test file lacks the last column, that of labels."""
    files = {
        "train": tsv(header, train),
        "dev": tsv(header, dev),
        "test": tsv(header.rpartition(" ")[0], test),
    }
    return {f"{folder}/{split}.tsv": content for split, content in files.items()}


def mrpc(*rows: list[str]) -> str:
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    return "\ufeff" + tsv("", header, *rows)


MNLI = "index promptID pairID genre parse1 parse2 binary1 binary2 sentence1 sentence2"
MNLI_ROW = ["0", "1", "1n", "fiction", "( a )", "( b )", "(ROOT a)", "(ROOT b)"]
STSB = "index genre filename year old_index source1 source2 sentence1 sentence2"
STSB_ROW = ["0", "main-news", "MSRvid", "2012test", "0001", "none", "none"]
QQP = "id qid1 qid2 question1 question2 is_duplicate"


def mnli(part: str, label: str) -> dict[str, str]:
    train = [*MNLI_ROW, 'Said "a', 'b"', "neutral", "neutral"]
    dev = [*MNLI_ROW, f"{part} one", f"{part} two", *[label] * 6]
    return {
        "MNLI/train.tsv": tsv(f"{MNLI} label1 gold_label", train),
        f"MNLI/dev_{part}.tsv": tsv(f"{MNLI} label1 label2 label3 label4 label5 gold_label", dev),
        f"MNLI/test_{part}.tsv": tsv(MNLI, [*MNLI_ROW, f"{part} three", f"{part} four"]),
    }


FILES = {
    "cola": {
        "CoLA/train.tsv": tsv("", ["gj04", "1", "", 'He said "a.']),
        "CoLA/dev.tsv": tsv("", ["gj04", "0", "*", "Said he b."]),
        "CoLA/test.tsv": tsv("index sentence", ["0", "He said c."]),
    },
    "rte": task(
        "RTE",
        "index sentence1 sentence2 label",
        ["0", "It fell.", "It stood.", "not_entailment"],
        ["0", "He ran.", "He moved.", "entailment"],
        ["0", "She ran.", "She moved."],
    ),
    "sst2": {
        "SST-2/train.tsv": tsv("sentence label", ["a joy ", "1"]),
        "SST-2/dev.tsv": tsv("sentence label", ["a bore ", "0"]),
        "SST-2/test.tsv": tsv("index sentence", ["0", "a film"]),
    },
    "qqp": {
        "QQP/train.tsv": tsv(
            QQP,
            ["1", "2", "3", 'What is "x?', 'Is x "?"', "0"],
            ["9", "8", "7", "broken by a line"],
            ["break", "Is it?", "1"],
            ["4", "5", "6", "Who?", "Who is it?", "1"],
        ),
        "QQP/dev.tsv": tsv(QQP, ["7", "8", "9", "Why?", "How?", "0"]),
        "QQP/test.tsv": tsv("id question1 question2", ["0", "When?", "Where?"]),
    },
    "mrpc": {
        "MRPC/train.tsv": mrpc(["1", "11", "12", 'He said "so', "So he said"]),
        "MRPC/dev.tsv": mrpc(["0", "21", "22", "One", "Two"]),
        "MRPC/test.tsv": mrpc(["0", "3", "4", "Three", "Four"]).replace("Quality", "index"),
    },
    "mnli_m": mnli("matched", "entailment"),
    "mnli_mm": mnli("mismatched", "contradiction"),
    "qnli": task(
        "QNLI",
        "index question sentence label",
        ["0", "Who?", 'He did, "he" said.', "entailment"],
        ["0", "What?", "Rain.", "not_entailment"],
        ["0", "When?", "Then."],
    ),
    "stsb": task(
        "STS-B",
        f"{STSB} score",
        [*STSB_ROW, 'A "b.', "B.", "4.250"],
        [*STSB_ROW, "C.", "D.", "0.000"],
        [*STSB_ROW, "E.", "F."],
    ),
    "wnli": task(
        "WNLI",
        "index sentence1 sentence2 label",
        ["0", "It fell.", "The cup fell.", "1"],
        ["0", "It fell.", "The sky fell.", "0"],
        ["0", "It fell.", "The sea fell."],
    ),
    "ax": {"AX/AX.tsv": tsv("index sentence1 sentence2", ["0", "A cat.", "An animal."])},
}
"""By task: name of the file below GLUE_DIR -> content."""


def rows(columns: str, *splits: tuple) -> dict[str, dict[str, list]]:
    """The one row of train, dev and test, each its texts and, except for test, its label."""
    names = [*columns.split(), "label"]
    return {
        split: {name: [value] for name, value in zip(names, values, strict=False)}
        for split, values in zip(("train", "dev", "test"), splits, strict=True)
    }


PAIR = "sentence1 sentence2"


def mnli_rows(part: str, label: int) -> dict[str, dict[str, list]]:
    dev, test = (f"{part} one", f"{part} two", label), (f"{part} three", f"{part} four")
    return rows(PAIR, ('Said "a', 'b"', 1), dev, test)


EXPECTED = {
    "cola": rows("sentence", ('He said "a.', 1), ("Said he b.", 0), ("He said c.",)),
    "rte": rows(PAIR, ("It fell.", "It stood.", 1), ("He ran.", "He moved.", 0), ("She ran.", "She moved.")),
    "sst2": rows("sentence", ("a joy ", 1), ("a bore ", 0), ("a film",)),
    "qqp": rows("question1 question2", (), ("Why?", "How?", 0), ("When?", "Where?"))
    | {
        "train": {
            "question1": ['What is "x?', "Who?"],
            "question2": ['Is x "?"', "Who is it?"],
            "label": [0, 1],
        }
    },
    "mrpc": rows(PAIR, ('He said "so', "So he said", 1), ("One", "Two", 0), ("Three", "Four")),
    "mnli_m": mnli_rows("matched", 0),
    "mnli_mm": mnli_rows("mismatched", 2),
    "qnli": rows(
        "question sentence", ("Who?", 'He did, "he" said.', 0), ("What?", "Rain.", 1), ("When?", "Then.")
    ),
    "stsb": rows(PAIR, ('A "b.', "B.", 4.25), ("C.", "D.", 0.0), ("E.", "F.")),
    "wnli": rows(
        PAIR,
        ("It fell.", "The cup fell.", 1),
        ("It fell.", "The sky fell.", 0),
        ("It fell.", "The sea fell."),
    ),
    "ax": {"test": {"sentence1": ["A cat."], "sentence2": ["An animal."]}},
}
"""By task: split -> its rows as columns."""
