"""Cosmos."""
