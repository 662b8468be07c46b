"""What the server of `tests.forked` has imported before it forks."""
# ruff: noqa: F401

import gc

from hydra.core.plugins import Plugins

import hydra_plugins.powerbert_sweepers.max_loss
import hydra_plugins.powerbert_sweepers.points
import powerbert.methods
import powerbert.predict.predictor
import powerbert.predict.subject
import powerbert.report.summary
import tests.tiny_runs

Plugins.instance()  # looks through all of Hydra's plugins once
gc.freeze()  # a child that collects garbage would copy every page of what is shared
