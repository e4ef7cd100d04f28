"""The quick start on a fresh cluster, and the lab's three phases on it: what `detnet lab run --engine kube` does."""
