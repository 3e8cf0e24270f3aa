"""What the adapters are tested with: constraints-agents.txt pins all of it."""

from __future__ import annotations

from importlib import metadata

import pytest

from tests.support.distributions import brought, pins

for name in ("pipecat", "livekit.agents"):
    pytest.importorskip(name, reason="needs the frameworks of constraints-agents.txt")

BROUGHT = brought("cpu", "pipecat", "livekit")


def test_constraints_pin_whatever_the_adapters_bring() -> None:
    pinned = pins("constraints-agents.txt")
    assert pinned.keys() >= BROUGHT
    assert {name: metadata.version(name) for name in BROUGHT} == {name: pinned[name] for name in BROUGHT}


def test_the_adapters_bring_no_torch() -> None:
    assert not BROUGHT & {"torch", "transformers", "triton"}
