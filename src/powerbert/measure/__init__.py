"""What a model costs: floating-point operations, word-vectors and time."""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.base.environment import describe_environment
    from powerbert.measure.evaluation import evaluate_longer, mean_retained
    from powerbert.measure.flops import compare_flops, count_flops, word_vectors
    from powerbert.measure.latency import measure_latencies, single_inputs
    from powerbert.measure.settings import LatencySettings
    from powerbert.measure.timing import Schedule, Times, time_in_turn

__all__ = [
    "LatencySettings",
    "Schedule",
    "Times",
    "compare_flops",
    "count_flops",
    "describe_environment",
    "evaluate_longer",
    "mean_retained",
    "measure_latencies",
    "single_inputs",
    "time_in_turn",
    "word_vectors",
]

lazy_package(__name__)
