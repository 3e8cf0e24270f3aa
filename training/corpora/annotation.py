"""What is known of one clip of a corpus: a line of its rows.jsonl, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Annotation = Mapping[str, Any]
"""- `split`, `seed` (names the clip), `speaker`, `condition` (None where unknown), `rated_by` ("simulated" or "human");
- `causes`: what was done to a simulated clip (stage.Degradation), and once opened, each with the `rating` that it alone
  would leave;
- the evidence of a simulated clip: `defects` of the source recording and `measures` of the result (simulation/
  measures); `witness`, what the judges say (rating/judges); `recipe`, the stages, and `checksum`, of all that the clip
  follows from;
- the five ratings by name: in a human row as people gave them, in a simulated one computed when the corpus is opened;
- of a clip whose panel was not asked for all five, `plausible`: values of the others that would not be out of place;
- `offset`, `samples`: where in the corpus's audio it lies, and how long it is, in samples;
- in a batch of training, `heard`: how often the clip was heard before, which decides the changes that nobody hears;
  and `told`, five ratings that the model read, from which its answer goes on;
- where a language model wrote them (captioning.py): `descriptions`, and `arguments` by the seed of the other clip.
Other collections hold fewer."""
