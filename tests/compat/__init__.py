"""Names that node packs import. Importing this puts compat/ on the path, as the loader does."""

from __future__ import annotations

import sys
from pathlib import Path

COMPAT = str(Path(__file__).parent.parent.parent / "compat")

if COMPAT not in sys.path:
    sys.path.append(COMPAT)
