"""Numbers against references: the same workflow and seed must give ComfyUI's result."""
