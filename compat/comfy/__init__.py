"""Names that node packs import from ComfyUI, over our own modules."""
