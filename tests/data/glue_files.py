"""One or two rows of each GLUE task in the layout of GLUE's download, and the expected datasets."""


def tsv(header: str, *rows: list[str]) -> str:
    """A file of tab-separated fields; `header` is separated by blanks, or empty."""
    lines = [header.split(" "), *rows] if header else rows
    return "".join("\t".join(line) + "\n" for line in lines)


PARSES = ["sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"]
MNLI = " ".join(["index promptID pairID genre", *PARSES, "sentence1 sentence2"])
STSB = "index genre filename year old_index source1 source2 sentence1 sentence2"
QQP = "id qid1 qid2 question1 question2 is_duplicate"
QNLI = "index question sentence label"
WNLI = "index sentence1 sentence2 label"


def mnli_row(*fields: str) -> list[str]:
    return ["0", "1", "1n", "fiction", "( a )", "( b )", "(ROOT a)", "(ROOT b)", *fields]


def stsb_row(*fields: str) -> list[str]:
    return ["0", "main-news", "MSRvid", "2012test", "0001", "none", "none", *fields]


def mrpc(*rows: list[str]) -> str:
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    return "\ufeff" + tsv("", header, *rows)


def mnli(part: str, label: str) -> dict[str, str]:
    dev = mnli_row(f"{part} one", f"{part} two", *[label] * 5, label)
    return {
        "MNLI/train.tsv": tsv(f"{MNLI} label1 gold_label", mnli_row('Said "a', 'b"', "neutral", "neutral")),
        f"MNLI/dev_{part}.tsv": tsv(f"{MNLI} label1 label2 label3 label4 label5 gold_label", dev),
        f"MNLI/test_{part}.tsv": tsv(MNLI, mnli_row(f"{part} three", f"{part} four")),
    }


FILES = {
    "cola": {
        "CoLA/train.tsv": tsv("", ["gj04", "1", "", 'He said "a.']),
        "CoLA/dev.tsv": tsv("", ["gj04", "0", "*", "Said he b."]),
        "CoLA/test.tsv": tsv("index sentence", ["0", "He said c."]),
    },
    "rte": {
        "RTE/train.tsv": tsv(WNLI, ["0", "It fell.", "It stood.", "not_entailment"]),
        "RTE/dev.tsv": tsv(WNLI, ["0", "He ran.", "He moved.", "entailment"]),
        "RTE/test.tsv": tsv("index sentence1 sentence2", ["0", "She ran.", "She moved."]),
    },
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
        "MRPC/test.tsv": tsv(
            "", ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["0", "3", "4", "Three", "Four"]
        ),
    },
    "mnli_m": mnli("matched", "entailment"),
    "mnli_mm": mnli("mismatched", "contradiction"),
    "qnli": {
        "QNLI/train.tsv": tsv(QNLI, ["0", "Who?", 'He did, "he" said.', "entailment"]),
        "QNLI/dev.tsv": tsv(QNLI, ["0", "What?", "Rain.", "not_entailment"]),
        "QNLI/test.tsv": tsv("index question sentence", ["0", "When?", "Then."]),
    },
    "stsb": {
        "STS-B/train.tsv": tsv(f"{STSB} score", stsb_row('A "b.', "B.", "4.250")),
        "STS-B/dev.tsv": tsv(f"{STSB} score", stsb_row("C.", "D.", "0.000")),
        "STS-B/test.tsv": tsv(STSB, stsb_row("E.", "F.")),
    },
    "wnli": {
        "WNLI/train.tsv": tsv(WNLI, ["0", "It fell.", "The cup fell.", "1"]),
        "WNLI/dev.tsv": tsv(WNLI, ["0", "It fell.", "The sky fell.", "0"]),
        "WNLI/test.tsv": tsv("index sentence1 sentence2", ["0", "It fell.", "The sea fell."]),
    },
    "ax": {"AX/AX.tsv": tsv("index sentence1 sentence2", ["0", "A cat.", "An animal."])},
}
"""By task: name of the file below GLUE_DIR -> content."""


def pair(first: str, second: str, **label: float) -> dict[str, list]:
    return {"sentence1": [first], "sentence2": [second]} | {name: [value] for name, value in label.items()}


EXPECTED = {
    "cola": {
        "train": {"sentence": ['He said "a.'], "label": [1]},
        "dev": {"sentence": ["Said he b."], "label": [0]},
        "test": {"sentence": ["He said c."]},
    },
    "rte": {
        "train": pair("It fell.", "It stood.", label=1),
        "dev": pair("He ran.", "He moved.", label=0),
        "test": pair("She ran.", "She moved."),
    },
    "sst2": {
        "train": {"sentence": ["a joy "], "label": [1]},
        "dev": {"sentence": ["a bore "], "label": [0]},
        "test": {"sentence": ["a film"]},
    },
    "qqp": {
        "train": {
            "question1": ['What is "x?', "Who?"],
            "question2": ['Is x "?"', "Who is it?"],
            "label": [0, 1],
        },
        "dev": {"question1": ["Why?"], "question2": ["How?"], "label": [0]},
        "test": {"question1": ["When?"], "question2": ["Where?"]},
    },
    "mrpc": {
        "train": pair('He said "so', "So he said", label=1),
        "dev": pair("One", "Two", label=0),
        "test": pair("Three", "Four"),
    },
    "mnli_m": {
        "train": pair('Said "a', 'b"', label=1),
        "dev": pair("matched one", "matched two", label=0),
        "test": pair("matched three", "matched four"),
    },
    "mnli_mm": {
        "train": pair('Said "a', 'b"', label=1),
        "dev": pair("mismatched one", "mismatched two", label=2),
        "test": pair("mismatched three", "mismatched four"),
    },
    "qnli": {
        "train": {"question": ["Who?"], "sentence": ['He did, "he" said.'], "label": [0]},
        "dev": {"question": ["What?"], "sentence": ["Rain."], "label": [1]},
        "test": {"question": ["When?"], "sentence": ["Then."]},
    },
    "stsb": {
        "train": pair('A "b.', "B.", label=4.25),
        "dev": pair("C.", "D.", label=0.0),
        "test": pair("E.", "F."),
    },
    "wnli": {
        "train": pair("It fell.", "The cup fell.", label=1),
        "dev": pair("It fell.", "The sky fell.", label=0),
        "test": pair("It fell.", "The sea fell."),
    },
    "ax": {"test": pair("A cat.", "An animal.")},
}
"""By task: split -> its rows as columns."""
