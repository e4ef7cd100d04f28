"""The soak of the lease: two real replicas, a real API server, faults at random, and a judge who reads the API server's audit log."""
