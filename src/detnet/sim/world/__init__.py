"""What a link goes through, drawn from a description: cross traffic, capacity, demand, faults of the probe."""
