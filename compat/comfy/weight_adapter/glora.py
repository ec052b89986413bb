"""Patches of weights as objects."""

from comfy.weight_adapter import GLoRAAdapter as GLoRAAdapter
