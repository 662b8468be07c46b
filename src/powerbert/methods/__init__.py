"""Methods as peers: each says which stages it has, what they start from, and which knob is swept."""

from powerbert.methods.bert_pkd import BertPkd
from powerbert.methods.dense import Dense
from powerbert.methods.distilbert import DistilBert
from powerbert.methods.head_prune import HeadPrune
from powerbert.methods.method import Context, Method, StagePlan
from powerbert.methods.power_bert import PowerBert

__all__ = ["BertPkd", "Context", "Dense", "DistilBert", "HeadPrune", "Method", "PowerBert", "StagePlan"]
