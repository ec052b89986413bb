"""Hunyuan video."""
