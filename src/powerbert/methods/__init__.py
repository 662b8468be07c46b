"""Methods as peers: each says which stages it has, what they start from, and which knob is swept."""

from powerbert.methods.method import Context, Method, StagePlan
from powerbert.methods.power_bert import PowerBert

__all__ = ["Context", "Method", "PowerBert", "StagePlan"]
