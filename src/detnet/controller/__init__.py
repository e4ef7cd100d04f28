"""The service that closes the loop: reads, decides, acts, records."""
