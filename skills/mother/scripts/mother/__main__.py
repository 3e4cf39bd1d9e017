"""Starts the program: python3 -I -B FOLDER VERB ...; see main.py.

Without -B, Python would write into the folder, which must stay as it was signed.
"""

import sys
from pathlib import Path

# Python looked for modules in this folder first. From the one above, no name here can be taken for one of Python's own.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from mother.main import main  # noqa: E402 - found only now

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
