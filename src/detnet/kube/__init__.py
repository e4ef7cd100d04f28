"""The only room that knows a Kubernetes API server.

    access ──► client ──► reflector ──► store            who is there: pods, nodes, policies
                  │
                  ├─────► election (lease)               who may write
                  ├─────► annotations (ledger)           limits on pods, and what was there before
                  └─────► recorder (events)              what people see in `kubectl describe`

`httpx2` is used directly, not a Kubernetes library over it: the libraries that were tried have no watch that asks for bookmarks, notices
a silent connection and lists again after 410 without forgetting deletions, and an election that is safe is in none of them.

Invariants: what decides is pure (`lease`, `ledger`, `store`, `backoff`, `bucket`); what sends is thin. No other room imports `httpx2`.
"""
