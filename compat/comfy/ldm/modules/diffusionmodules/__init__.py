"""Parts of UNets."""
