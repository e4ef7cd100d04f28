"""The lab's plant in virtual time: hours of a link in seconds, the same engine, the same reports."""
