"""Patches of weights as objects."""

from comfy.weight_adapter import LoKrAdapter as LoKrAdapter
