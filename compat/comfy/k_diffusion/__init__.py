"""Samplers as functions."""
