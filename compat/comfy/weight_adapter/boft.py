"""Patches of weights as objects."""

from comfy.weight_adapter import BOFTAdapter as BOFTAdapter
