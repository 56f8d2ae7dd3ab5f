"""`python -m swinkit`."""

import sys

from swinkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
