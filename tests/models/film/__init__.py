"""Autoencoders of films."""
