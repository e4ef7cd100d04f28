"""What people ask of a cluster in which detnet runs, from outside of it: `detnet status`, which is `kubectl detnet status` too.

    API server ──► site (listed once, planned by the controller's own code) ──► standing   what is so: policies, links, limits
         │                                                                 ├──► changes    what Enforce would change
         │                                                                 ├──► story      why a pod's limit is what it is
         │                                                                 └──► release    gives every pod back what it had
         └──► proxy ──► pages of controller and agents                     └──► preflight  what must be so, check by check

Invariants: only `release` writes; what may not be read is told with the right that is missing, never left out in silence; what the
cluster says is hostile until it was read into a type of ours.
"""
