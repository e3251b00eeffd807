"""`python -m mia_tui.cli`."""

from mia_tui.cli import main

if __name__ == "__main__":
    main()
