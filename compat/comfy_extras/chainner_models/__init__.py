"""ComfyUI's `comfy_extras.chainner_models`: upscaling models, read by the library spandrel."""
