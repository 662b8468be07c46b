"""What methods are called and look like."""

import pytest
from omegaconf import OmegaConf

from powerbert.base.cli import CONFIG_FOLDER
from powerbert.store.facts import facts
from powerbert.store.naming import METHODS, display, distinguishing, method_label, packaged_display
from tests.records import RECORD, record


def of_method(name: str, settings: object = None, **knob) -> dict:
    return {"method": name, "knob": knob, "config": {"method": settings}}


def test_each_packaged_method_says_what_it_is_called_and_looks_like():
    yamls = sorted((CONFIG_FOLDER / "method").glob("*.yaml"))
    assert {path.stem for path in yamls} >= set(METHODS)
    nodes = [OmegaConf.load(path).display for path in yamls]
    for key in ("label", "marker", "colour"):
        assert len({node[key] for node in nodes}) == len(yamls)
    assert all(node.sentence for node in nodes)
    assert all("knob" in node for node in nodes)


def test_a_record_says_how_its_method_is_shown():
    shown = {"label": "First", "sentence": "keeps encoders", "knob": "method.kept", "colour": "#112233"}
    own = of_method("first", {"name": "first", "display": shown}, kept=2)
    assert (display(own).label, display(own).colour, display(own).knob) == ("First", "#112233", "method.kept")
    assert method_label(own) == "First"


def test_a_record_without_it_is_shown_as_its_method_is_today():
    assert display(of_method("dense", {"name": "dense"})) == packaged_display("dense")
    assert method_label(of_method("power_bert")) == "PoWER-BERT"
    unknown = display(of_method("mine", "none"))
    assert (unknown.label, unknown.sentence, unknown.knob) == ("mine", "", None)
    assert unknown.colour not in {packaged_display(name).colour for name in METHODS}


def test_unusable_values_are_passed_over():
    broken = {"label": 3, "colour": "red; background: url(x)", "marker": None}
    assert display(of_method("dense", {"display": broken})) == packaged_display("dense")
    assert display(of_method("../method/dense")).label == "../method/dense"


def test_runs_do_not_differ_by_how_they_are_shown():
    settings = {"name": "dense", "epochs": 2}
    assert distinguishing({"seed": 1, "method": {**settings, "display": {"label": "More"}}}) == {
        "seed": 1,
        "method": settings,
    }


@pytest.mark.parametrize("name", ["snippets", "folder", "my_own", "../train"])
def test_runs_do_not_differ_by_settings_that_an_older_record_lacks(name):
    older = {"learning_rate": 1e-4, "dataset": {"name": name, "kind": "mine", "source": {"path": "a"}}}
    newer = {
        **older,
        "class_weights": None,
        "dataset": {**older["dataset"], "label_columns": None, "source": {"path": "a", "kind": "mine"}},
    }
    assert distinguishing(newer) == distinguishing(older)
    other = {**newer, "dataset": {**newer["dataset"], "label_columns": ["a", "b"]}}
    assert distinguishing(other) != distinguishing(older)
    assert distinguishing({**newer, "learning_rate": 2e-4}) != distinguishing(older)


def test_facts_leave_out_what_a_record_lacks():
    known, lacking = dict(facts(RECORD)), dict(facts(record({"flops.ratio": None, "flops.model": None})))
    assert known["FLOPs per input"] == "1 G of 3.3 G (3.30x fewer)"
    assert known.keys() - lacking.keys() == {"FLOPs per input"}
    assert not {"epochs", "parameters", "earlier stages"} & known.keys()


def test_cls_alone_and_shares_make_another_method():
    alone = of_method("unchanged") | {"cls_alone": True}
    assert method_label(alone) == "Fine-tuned, [CLS] alone"
    shares = {"elimination": {"name": "share", "unit": "share"}}
    assert method_label(of_method("power_bert", shares)) == "PoWER-BERT (share)"
    named = {"elimination": {"name": "paper", "unit": "share"}}
    assert method_label(of_method("power_bert", named)) == "PoWER-BERT (shares)"
    assert method_label(of_method("distilbert", {"start": "first"})) == "DistilBERT (first encoders)"
    protected = {"elimination": {"protect": "first_text"}}
    assert method_label(of_method("power_bert", protected)) == "PoWER-BERT (first text protected)"


def test_facts_of_shares_and_a_target():
    known = dict(
        facts(
            record(
                retention_configuration=None,
                retention_shares=[0.5, 0.0],
                cls_alone=True,
                target={"speedup": 3.0, "protocol": "dynamic", "predicted": 3.01},
                changes={"flops.dynamic": {"model": 1e8, "baseline": 2e8, "ratio": 2.0}},
            )
        )
    )
    assert known["retention shares"] == "0.5, [CLS]"
    assert known["[CLS] alone"] == "in the last encoder"
    assert known["target"] == "3x faster (dynamic), 3.01x predicted"
    assert known["FLOPs, dynamic padding"] == "0.1 G of 0.2 G (2.00x fewer)"
    assert (
        not {"retention shares", "[CLS] alone", "target", "FLOPs, dynamic padding"}
        & dict(facts(RECORD)).keys()
    )
