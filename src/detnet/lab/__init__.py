"""A three-node network on one machine, in namespaces that the kernel cleans up."""
