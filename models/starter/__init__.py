"""The small text-to-image model that ships with Darkroom, and how it is made."""
