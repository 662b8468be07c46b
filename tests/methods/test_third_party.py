"""A method from outside the package: one Python file, and one yaml on Hydra's search path."""

from powerbert.store.records import validate
from tests.tiny_runs import saved_metric, train

MODULE = """
from powerbert.methods import Method
from powerbert.methods.method import final_plan, finetune_plan
from powerbert.models import load_model, take_encoders
from powerbert.stages import Retrain


class FirstEncoders(Method):
    def __init__(self, name, kept):
        self.name, self.kept = name, kept

    @property
    def knob(self):
        return {"kept": self.kept}

    def plans(self, checkpoint):
        def build(artifacts, context):
            model = take_encoders(load_model(artifacts["finetune"].path), range(self.kept))
            facts = {"kept": self.kept}
            return Retrain(model, context.task, context.optimization, context.seed, results=facts)

        return [finetune_plan(checkpoint), final_plan(1, {"method": self.name, **self.knob}, build)]
"""


def test_a_method_is_one_file_and_one_yaml(corpus, tmp_path, monkeypatch):
    (tmp_path / "first_encoders.py").write_text(MODULE)
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "first.yaml").write_text(
        "_target_: first_encoders.FirstEncoders\nname: first\nkept: 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    search_path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    record = train(corpus, tmp_path / "runs", search_path, "method=first", "trainer.max_epochs=1")
    validate(record)
    assert record["method"] == "first"
    assert record["knob"] == {"kept": 2}
    assert record["word_vectors"] == {"retained": 64, "baseline": 96}
    assert saved_metric(record, tmp_path / "runs", corpus) == record["metric"]["value"]
