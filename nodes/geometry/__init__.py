"""Geometry of triangles on arrays: vertices [N, 3], faces [M, 3] that name them.

Nothing here knows of nodes or tensors. What takes long calls a `Step` now and then.
"""
