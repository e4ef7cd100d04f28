"""What people ask for: the QoSPolicy, its rules, its CRD, which pods it selects, and which policy a pod belongs to."""
