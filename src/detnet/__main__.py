"""`python -m detnet` is the `detnet` command."""

from detnet.cli import main

if __name__ == "__main__":
    main()
