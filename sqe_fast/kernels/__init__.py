"""Operators with more than one implementation, or with one that torch lacks."""

from __future__ import annotations

from sqe_fast.kernels.operators import Operators

__all__ = ["OPERATORS", "Operators", "interpreted", "select"]

OPERATORS = ("torch", "triton")


def interpreted() -> bool:
    """Whether Triton kernels run in its interpreter, on the CPU: for tests and debugging. Needs Triton."""
    import triton

    return bool(triton.knobs.runtime.interpret)


def select(name: str) -> Operators:
    """The operators of that name: "torch" anywhere, "triton" on an NVIDIA GPU (or in Triton's interpreter).

    Raises ValueError for another name and ModuleNotFoundError where Triton is not installed: none stands in for
    another.
    """
    if name == "torch":
        from sqe_fast.kernels import reference

        return reference
    if name == "triton":
        from sqe_fast.kernels import triton

        return triton
    raise ValueError(f"operators {name!r} are unknown; choose one of {', '.join(OPERATORS)}")
