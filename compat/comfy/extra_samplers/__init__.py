"""Further samplers."""
