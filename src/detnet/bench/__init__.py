"""What detnet's own work costs on this machine.

Invariants: what is timed is the code that runs in production, with nothing left out; what feeds it is made before the clock starts.
"""
