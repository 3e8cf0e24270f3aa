"""What the card itself reaches: a copy's bandwidth, and a large product's rate. Everything else is a share of these."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.gpu.rows import Writer, milliseconds

COPY_BYTES, SIDE = 4 << 30, 8_192
DRY_BYTES, DRY_SIDE = 1 << 12, 32


@torch.inference_mode()
def measure(writer: Writer) -> None:
    machine = writer.machine
    size, side = (DRY_BYTES, DRY_SIDE) if machine.dry else (COPY_BYTES, SIDE)
    source = torch.ones(size, dtype=torch.uint8, device=machine.device)
    target = torch.zeros_like(source)
    a, b = (torch.randn(side, side, device=machine.device).to(machine.dtype) for _ in range(2))
    runs = {f"copy of {size >> 20} MiB": partial(target.copy_, source), f"product {side}³": partial(torch.mm, a, b)}
    for case, run in runs.items():
        run()
        times = {}
        if not machine.dry:
            ms = milliseconds([run])
            rate = 2 * size / ms * 1e-6 if case.startswith("copy") else 2 * side**3 / ms * 1e-9
            unit = "giga_bytes_per_second" if case.startswith("copy") else "tera_flops_per_second"
            times = {"ms": round(ms, 4), unit: round(rate, 1)}
        right = torch.equal(target, source) if case.startswith("copy") else bool(torch.mm(a, b).isfinite().all())
        writer.write("ceiling", case, "torch", right=right, peer=None, **times)
