"""Sizes that benchmarks and tests share."""

CLIP_SECONDS = (2.0, 6.0, 12.0, 30.0)
"""Lengths of a single clip; a call centre's utterances lie between 2 and 12 s, 30 s is the longest window."""

VOCABULARY = 152_064
"""Ids of Qwen2's head; Qwen2-Audio's has 156,032."""
AUDIO_VOCABULARY = 156_032
LOSS_POSITIONS = (100, 400, 2_048)
"""Response tokens of a description, of a small batch of them, and of a large one."""
LOSS_WIDTHS = (256, 896)
"""Hidden sizes: near `tiny`'s, and Qwen2-0.5B's."""
