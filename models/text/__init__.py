"""Prompts to conditioning: parsing, tokens, weights, text encoders."""
