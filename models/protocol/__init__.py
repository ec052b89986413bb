"""The object protocol that node packs know models by: options, hooks, patches, guiders, samplers.

ComfyUI's packs exchange models that are changed through named methods and dictionaries. This
folder gives our handles that shape, over models.sampling and models.network.
"""
