"""`python -m server`: the command `darkroom`, for an interpreter that is known by its path."""

from __future__ import annotations

import sys

from server.cli import main

sys.exit(main())
