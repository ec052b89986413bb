"""Decides what runs, where and when: graph, validation, durable queue, workers."""
