"""Makes the references that the tests compare with importable from every test."""

import sys
from pathlib import Path

for folder in ("physics", "unit"):
    sys.path.insert(0, str(Path(__file__).parent / folder))
