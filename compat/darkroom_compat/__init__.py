"""What modules under host names share; no pack imports it."""
