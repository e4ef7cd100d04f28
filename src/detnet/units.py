"""Rates and durations, written with their units.

A `Rate` is a whole number of bits per second. It is read as Kubernetes reads a quantity (`resource.ParseQuantity`), because the
limit that we write is read again by Cilium and by the CNI plug-ins, which fail open: a text that they do not understand removes
the limit. It is written only as an integer with k, M or G, or as a plain integer.

Invariants: `Rate.parse(str(rate)) == rate` for every rate; nothing here rounds silently downwards (Kubernetes rounds up, so do we).
Source: k8s.io/apimachinery/pkg/api/resource, quantity.go and suffix.go.
"""

from __future__ import annotations


class Rate(int):
    """Bits per second. Differences may be negative while a law thinks; what is enforced never is."""

    __slots__ = ()
