"""`detnet doctor`."""


def doctor() -> None:
    """Show what this machine can do, and what each missing part costs."""
