"""What a run showed: for the terminal, as Markdown and HTML, and as data."""
