"""ComfyUI's `app`: parts of its server. Ours are in another process; few can be offered here."""
