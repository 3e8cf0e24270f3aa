"""Sizes that benchmarks and tests share."""

CLIP_SECONDS = (2.0, 6.0, 12.0, 30.0)
"""Lengths of a single clip; a call centre's utterances lie between 2 and 12 s, 30 s is the longest window."""
