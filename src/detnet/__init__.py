"""detnet keeps critical Kubernetes traffic on time.

It measures the jitter of critical flows and paces the best-effort pods that share a link with them: down before the critical
traffic suffers, up again as soon as there is room.
"""

from importlib.metadata import version

__version__ = version("detnet")
