"""Methods as peers; each defines its stages, the artifacts they start from, and the swept knob."""

from typing import TYPE_CHECKING

from powerbert.base.lazy import lazy_package

if TYPE_CHECKING:
    from powerbert.methods.bert_pkd import BertPkd
    from powerbert.methods.combined import Combined
    from powerbert.methods.dense import Dense, Unchanged
    from powerbert.methods.distilbert import DistilBert
    from powerbert.methods.elastic import Elastic
    from powerbert.methods.head_prune import HeadPrune
    from powerbert.methods.ltp import Ltp
    from powerbert.methods.method import Context, Method, StagePlan
    from powerbert.methods.power_bert import PowerBert

__all__ = [
    "BertPkd",
    "Combined",
    "Context",
    "Dense",
    "DistilBert",
    "Elastic",
    "HeadPrune",
    "Ltp",
    "Method",
    "PowerBert",
    "StagePlan",
    "Unchanged",
]

lazy_package(__name__)
