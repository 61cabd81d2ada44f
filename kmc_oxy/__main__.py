"""``python -m kmc_oxy``: the same as ``kmc-oxy``."""

import sys

from kmc_oxy.cli import main

if __name__ == "__main__":
    sys.exit(main())
