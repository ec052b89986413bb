"""The V3 node API: classes that describe themselves. `comfy_api.latest` is its front."""
