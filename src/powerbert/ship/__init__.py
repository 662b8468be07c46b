"""Modeling code and a model card beside the weights, for use of a model without this package."""

from powerbert.ship.model_card import model_card, write_model_card
from powerbert.ship.modeling_code import modeling_code, save_modeling_code

__all__ = ["model_card", "modeling_code", "save_modeling_code", "write_model_card"]
