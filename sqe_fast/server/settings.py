"""What a server listens to, who may ask, and how much: the one set of its defaults."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Settings:
    """Raises ValueError for what cannot be, and for an address that others reach without a token."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0: one that is free."""
    token: str | None = None
    """What a client shows as `Authorization: Bearer TOKEN`. Only loopback goes without."""
    root: Path | None = None
    """A folder whose recordings clients may name instead of sending them. None: they may not."""
    origins: tuple[str, ...] = ()
    """Of other sites' pages that may ask, as "https://qa.example.com"; "*" is any."""
    certificate: Path | None = None
    key: Path | None = None
    """Both in PEM: https and wss."""
    max_body: int = 128 * MEGABYTE
    """Bytes of one request."""
    max_held: int = 1_024 * MEGABYTE
    """Bytes of all requests that are under way."""
    max_files: int = 256
    """Of one request."""
    max_seconds: float = 3_600.0
    """Of one recording, and of one live call."""
    max_requests: int = 128
    """Under way at once; one more is told to come again."""
    max_sessions: int = 64
    """Live calls at once."""
    patience: float = 30.0
    """Seconds without a byte: of a request that is not whole, of a client that does not take its answer, and of a live
    call without audio, which has ten times as long."""
    timeout: float = 600.0
    """Seconds that a request may take."""
    drain: float = 60.0
    """Seconds that a server which was told to stop goes on with what it has begun."""

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is reached from other machines: give --token-file or SQE_TOKEN, or listen on 127.0.0.1"
            )
        if self.token is not None and not (len(self.token) >= 8 and self.token.isascii() and self.token.isprintable()):
            raise ValueError("a token has at least 8 printable ASCII characters")
        if self.token is not None and " " in self.token:
            raise ValueError("a token has no spaces")
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port {self.port}: pass 0 to 65535")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key go together: give both, or neither")
        if self.root is not None and not self.root.is_dir():
            raise ValueError(f"{self.root} is no folder")
        for origin in self.origins:
            if origin != "*" and ("://" not in origin or origin.count("/") != 2):
                raise ValueError(f"origin {origin!r}: pass scheme and host, as in https://qa.example.com, or *")
        counts = self.max_body, self.max_held, self.max_files, self.max_requests, self.max_sessions
        if min(*counts, self.max_seconds, self.patience, self.timeout) <= 0 or self.drain < 0:
            raise ValueError("limits and times must be above 0")


def is_loopback(host: str) -> bool:
    """Reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
