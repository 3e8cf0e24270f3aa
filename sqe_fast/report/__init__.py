"""Rows that a job has written → one page that says how a batch sounds, and what changed since another. `write` is the
door.

`build` goes the whole way: `table` holds rows as columns, `pairs` compares two tables, `worst` chooses recordings whose
`sound` and `timelines` are shown, `data` packs all that, and `document` makes it one HTML file, whose looks and
behaviour are in `page/`.
"""

from sqe_fast.report.build import Summary, write

__all__ = ["Summary", "write"]
