"""The decision: from a reading to a budget. Pure, so that the lab, a replay and a cluster run the very same code."""
