"""What is known of one clip of a corpus: a line of its rows.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Annotation = Mapping[str, Any]
"""The five ratings by name, and
- `split`, `seed` (names the clip), `speaker` and `condition` (None where unknown), `rated_by` ("simulated" or "human");
- `causes`: what was done to a simulated clip, each with the rating that it alone would leave; `recipe`, `label`;
- `offset`, `samples`: where in the corpus's audio it lies, and how long it is, in samples;
- in a batch of training, `heard`: how often the clip was heard before, which decides the changes that nobody hears;
- where a language model wrote them (captioning.py): `descriptions`, and `arguments` by the seed of the other clip.
Other collections hold fewer."""
