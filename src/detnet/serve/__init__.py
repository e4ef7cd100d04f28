"""What services show of themselves to programs, over HTTP."""
