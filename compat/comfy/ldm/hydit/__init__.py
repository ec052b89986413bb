"""HunyuanDiT."""
