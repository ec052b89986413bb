"""Patches of weights as objects."""

from comfy.weight_adapter import WeightAdapterBase as WeightAdapterBase
