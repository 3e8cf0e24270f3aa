"""Qwen2-Audio in our own torch code. `config` needs no torch; the other modules do, so nothing is imported here."""
