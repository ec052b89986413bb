"""The part of the executor that lives in the worker process; the only one that imports torch."""
