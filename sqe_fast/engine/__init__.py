"""Runs programs of many requests on one runner: encode once, prefill one by one, decode together."""

from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, ReadOut, Request, Result

__all__ = ["AudioInput", "Engine", "ReadOut", "Request", "Result"]
