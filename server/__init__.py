"""Speaks HTTP and WebSocket. Never imports torch; importing it stays light."""
