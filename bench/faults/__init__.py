"""What a cluster does to a controller, done on purpose: one real controller, a real API server, each fault in turn, and what must hold."""
