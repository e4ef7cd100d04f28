"""What runs on a node: the probe, and the reflector that answers it."""
