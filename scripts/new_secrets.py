"""Print new secrets in the form of `.env`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config.secretfile import new_secrets

if __name__ == "__main__":
    for name, value in new_secrets().items():
        print(f"{name}={value}")
