"""T2I adapters."""
