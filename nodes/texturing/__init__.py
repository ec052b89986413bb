"""Pictures on surfaces: UV atlases, what is baked into them, tangents. Plain functions."""
