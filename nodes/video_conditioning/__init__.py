"""Nodes that tell video models what is to be seen: first and last frames, pictures to follow.

They only encode pictures and lay out latents and masks; models read the options that they set.
"""
