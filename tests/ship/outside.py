"""Run where powerbert is not installed: plain transformers loads the models that a folder holds.

    PYTHONPATH=<packages without powerbert> python -S -P outside.py <folder>

The folder holds saved models, and `cases.json` the Auto class and the input of each by its name; the results
are written beside it, as `outcomes.json`.
"""

import importlib.util
import json
import sys
from importlib.metadata import distributions
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer, pipeline


def main(folder):
    assert importlib.util.find_spec("powerbert") is None
    assert not any(one.name == "powerbert" for one in distributions())
    cases = json.loads((folder / "cases.json").read_text())
    outcomes = {name: outcome(folder / name, *case) for name, case in cases.items()}
    (folder / "outcomes.json").write_text(json.dumps(outcomes))


def load(auto, folder):
    return getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True)


def outcome(folder, auto, texts):
    """Results of the saved model, and of the model after it is saved once more from here."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    inputs = tokenizer(*texts, padding=True, return_tensors="pt")
    if auto == "AutoModelForMultipleChoice":
        inputs = {name: tensor.unsqueeze(0) for name, tensor in inputs.items()}
    model = load(auto, folder)
    model.save_pretrained(folder / "again")
    with torch.inference_mode():
        logits, again = (one(**inputs).logits.tolist() for one in (model, load(auto, folder / "again")))
    result = {
        "module": type(model).__module__,
        "config": type(load("AutoConfig", folder)).__name__,
        "base": type(load("AutoModel", folder)).__name__,
        "logits": logits,
        "saved again": again,
    }
    if auto == "AutoModelForSequenceClassification":
        classify = pipeline("text-classification", model=str(folder), trust_remote_code=True)
        result["pipeline"] = classify(list(texts[0]), top_k=None)
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
