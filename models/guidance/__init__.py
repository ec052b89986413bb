"""Guidance: what is made of the predictions for the positive and the negative prompt."""
