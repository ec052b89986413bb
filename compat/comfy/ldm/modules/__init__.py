"""Layers of UNets."""
