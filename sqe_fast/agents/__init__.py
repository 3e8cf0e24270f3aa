"""Adapters: the quality of a caller's audio inside an agent that is built with somebody else's framework.

`pipecat` and `livekit` import the framework of that name; `talkers` and `notes` know of neither.
"""
