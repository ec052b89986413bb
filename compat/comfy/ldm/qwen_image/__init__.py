"""Qwen Image."""
