"""Where only the packages are installed that training, loading and serving a model need."""

import json
import subprocess
import sys

from powerbert.base.errors import EXTRAS
from tests.report.records import study

PROGRAM = """
import runpy, sys
sys.modules.update(dict.fromkeys({packages}))  # their import fails
import powerbert
import powerbert.analyse, powerbert.export.run, powerbert.predict.predictor
import powerbert.report.summary, powerbert.run.pipeline
powerbert.train, powerbert.eliminate
sys.argv[:] = ["powerbert.report", "report=pareto", "records={records}", "output={output}"]
runpy.run_module("powerbert.report", run_name="__main__")
"""


def test_a_report_names_the_extra_that_it_needs(tmp_path):
    (tmp_path / "records").mkdir()
    for number, record in enumerate(study()):
        (tmp_path / "records" / f"{number}.json").write_text(json.dumps(record))
    places = {"records": tmp_path / "records", "output": tmp_path / "report"}
    program = PROGRAM.format(packages=[*EXTRAS], **places)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith('is not installed: pip install "powerbert[report]"\n')
