"""ComfyUI's `utils`: small things of its server that packs use."""
