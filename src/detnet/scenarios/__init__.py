"""Situations that a law has to stand, as files: what is measured, and what is made of it."""
