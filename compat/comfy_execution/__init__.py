"""Names of the graph engine that node packs import."""
