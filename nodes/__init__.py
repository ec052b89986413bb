"""Node classes: thin and declarative; each calls `models` or plain tensor code."""
