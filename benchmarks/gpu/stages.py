"""Encode, prefill and decode: one encoder layer, two of the decoder and the head, of 7B's sizes.

Ours is the packed model on Triton kernels; peers are the same on plain torch, and Hugging Face's model, with sdpa and
compiled. On a GPU our decode steps are replayed as CUDA graphs, as they are when served; plain torch's cannot be.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.gpu.rows import Machine, Writer, is_right, relative_error
from benchmarks.peers.hugging_face_stages import HuggingFaceStages
from sqe_fast.kernels import select
from sqe_fast.runners.torch_runner import decode_step
from tests.support.workloads import Stages, Workload, random_model

Run = Callable[[], Tensor]


@torch.inference_mode()
def measure(writer: Writer, load: Workload) -> None:
    machine = writer.machine
    exact = {name: run() for name, run in _stages(load, machine, "torch", torch.float32).items()}
    ours, torchs = (_stages(load, machine, operators) for operators in ("triton", "torch"))
    peers = {"torch": torchs, **_hugging_face(load, machine)}
    for name, run in ours.items():
        error, torchs_error = (relative_error(each(), exact[name]) for each in (run, torchs[name]))
        for peer, runs in peers.items():
            theirs = relative_error(runs[name](), exact[name])
            # A peer that is off does not compute the same.
            right = is_right(error, torchs_error) and is_right(theirs, torchs_error)
            errors = {"error": error, "peer_error": theirs}
            timed = {peer: [runs[name]]}
            writer.timed(
                "stage",
                name,
                "triton",
                [run],
                timed,
                right=right,
                launched=("", *peers),
                layers=_layers(load),
                **errors,
            )


def _prefilled(load: Workload, count: int) -> str:
    return f"prefill {count} × {load.prompt} tokens behind {load.prefix}"


def _layers(load: Workload) -> str:
    return f"{load.config.audio.layers} of the encoder, {load.config.text.layers} of the decoder"


def _stages(load: Workload, machine: Machine, operators: str, dtype: torch.dtype | None = None) -> dict[str, Run]:
    model = random_model(load.config, machine.dtype, machine.device).to(dtype or machine.dtype)
    stages = Stages(load, model, select(operators))
    runs: dict[str, Run] = {f"encode {len(load.frames)} clips": stages.encode}
    for count in load.prompts:
        runs[_prefilled(load, count)] = lambda count=count: stages.packed.logits(stages.prefill(count))
    decode = decode_step(stages.packed, max(load.rows), machine.device)
    for rows in load.rows:
        step = stages.step(rows)
        runs[f"decode {rows} rows that hold {load.held}"] = lambda step=step: stages.packed.logits(decode(*step))
    return runs


def _hugging_face(load: Workload, machine: Machine) -> dict[str, dict[str, Run]]:
    """Its kind of attention, or compiled → its stages."""
    model = random_model(load.config, machine.dtype, machine.device)
    found = {}
    for name in ("transformers sdpa",) if machine.dry else ("transformers sdpa", "transformers compiled"):
        # Slots as they are before ours have run.
        peer = HuggingFaceStages(model, Stages(load, model, select("torch")), machine)
        if name.endswith("compiled"):
            peer.compile()
        prefills = (peer.prefill(count) for count in load.prompts)
        runs = [peer.encode, *prefills, *(peer.decode(rows) for rows in load.rows)]
        names = (
            f"encode {len(load.frames)} clips",
            *(_prefilled(load, count) for count in load.prompts),
            *(f"decode {rows} rows that hold {load.held}" for rows in load.rows),
        )
        found[name] = dict(zip(names, runs, strict=True))
    return found
