"""Sampling taken apart: sigmas, samplers, noise and guiders as nodes of their own."""
