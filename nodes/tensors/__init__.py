"""Plain tensor functions behind the nodes that work on pictures, masks and latents in memory."""
