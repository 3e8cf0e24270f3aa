"""Settings of the whole suite. Fixtures stand in the test files that use them."""

from __future__ import annotations

from hypothesis import settings

# Examples are drawn the same way in every run, and no deadline: the machine may be busy with other work.
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("repeatable")
