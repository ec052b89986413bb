"""Control networks."""
