"""Language models: as text encoders, and to write texts with."""
