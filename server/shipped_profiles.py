"""The profiles that come with the project: where they are, and their names.

It imports nothing heavy: the command line's help names them.
"""

from __future__ import annotations

from pathlib import Path

PROFILES = Path(__file__).parent / "profiles"


def available_profiles() -> list[str]:
    """Names of the profiles that come with the project."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))
