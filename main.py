"""`python main.py FLAGS`: the same as `darkroom serve FLAGS`, for scripts that start ComfyUI."""

from __future__ import annotations

import sys

from server.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
