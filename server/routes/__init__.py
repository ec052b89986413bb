"""The endpoints, one noun per file; see README.md."""
