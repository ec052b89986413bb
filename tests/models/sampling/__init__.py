"""Tests of schedules, samplers, noise, guidance and the sampling loop."""
