"""Networks that see depth in pictures, and what they say of them."""
