"""Tests of the models library."""
