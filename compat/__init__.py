"""The import names that third-party node packs expect; the node loader puts it on `sys.path`."""
