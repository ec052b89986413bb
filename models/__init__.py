"""A torch and diffusers library: find, load, encode and sample models."""
