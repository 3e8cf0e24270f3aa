"""Decoding in child processes with limits, so that a file that breaks a codec costs its own row and nothing else.

Codecs and the inspection of containers see bytes that anybody may have made. Here they run in a few warm children
(`child`) that may take no more memory and time than `options.Sandbox` says, start nothing, write nothing and reach no
network (`confine`). A `Pool` keeps them; its `open` stands in for `sources.FileSource`, and gives the same blocks.
"""

from sqe_fast.audio.sandbox.pool import Pool

__all__ = ["Pool"]
