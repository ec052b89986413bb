"""VAEs of LTX."""
