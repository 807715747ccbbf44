"""What can go wrong while hosting.

ServerError
├── ProfileError      a profile or a setting that cannot be used
├── PreflightError    the machine cannot run this profile now
└── PartFailedError   a part did not start, or crashed too often
"""

from __future__ import annotations


class ServerError(Exception):
    """Base of all errors of the server; its text is meant for the user."""


class ProfileError(ServerError):
    """A profile or a setting that cannot be used; names the file and the key."""


class PreflightError(ServerError):
    """The machine cannot run this profile now: a port, a model or memory is missing."""


class PartFailedError(ServerError):
    """A part did not become healthy, or crashed too often to go on."""
