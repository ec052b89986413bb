"""Autoencoders of films: what they make of frames, whole and in tiles."""
