"""Sounds as latents, and what networks hear in them."""
