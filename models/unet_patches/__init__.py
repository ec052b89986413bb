"""Changes of what a UNet does inside, as functions that its patches call."""
