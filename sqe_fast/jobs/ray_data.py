"""Scoring on a cluster, by Ray Data: recordings in, rows in Parquet out, the model in a pool of actors.

Each batch of recordings becomes a part file of its own, named after what is in it and written whole. So a batch that is
done again, because its worker died after it had written the part, writes the same part again: no row is lost, and none
doubled. A job that was killed is resumed as `sqe score --resume` does it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqe_fast.errors import UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.jobs.done import Done
from sqe_fast.jobs.inputs import Item, file_of, of_table
from sqe_fast.jobs.parquet import Parts, RowFolder, RowParts, arrow, escaped, table_of
from sqe_fast.jobs.rows import Origin, rows_of
from sqe_fast.jobs.run import DEFAULT, Choices, evaluated, origin_of
from sqe_fast.jobs.summary import Summary
from sqe_fast.options import Sandbox, Serving

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data


@dataclass(frozen=True)
class Workers:
    """The actors that hold a model each, and what they get."""

    count: int | tuple[int, int] = 1
    """So many, or from the first to the second as the load asks for."""
    cpus: float = 1.0
    """Of each; pass as many threads to `Serving`."""
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    """Others that the cluster's nodes were given."""
    batch: int = 64
    """Recordings that make a part file, and are done again where their worker dies."""
    retries: int = 3
    """How often a worker that died is replaced, and its batch done again. After that the job fails; what is written
    stays."""


def score(
    recordings: Iterable[str] | ray.data.Dataset,
    output: str,
    *,
    model: str = "tiny",
    serving: Serving | None = None,
    choices: Choices = DEFAULT,
    workers: Workers = Workers(),
    column: str | None = None,
    resume: bool = False,
    retry_errors: bool = False,
    open_evaluator: Callable[[], Evaluator] | None = None,
) -> Summary:
    """Score all recordings, each once, and write their rows to `output`, a folder that all nodes see or the address of
    a bucket ("s3://bucket/rows"); a summary of all rows that are there at the end.

    `recordings` are paths that the nodes can read, or a Dataset: a column of paths, of sound as `datasets` keeps it, or
    `bytes` beside `path` as `ray.data.read_binary_files(…, include_paths=True)` gives it; see `column`. Others are
    carried to the rows. A path that is named twice has one row or two. `serving` is by default one thread, and a child
    process that decodes in a sandbox. `open_evaluator` is for a runner of your own: it is called in each worker.

    Ray's usage reporting is switched off, here and in a cluster that is started by this call; where you start the
    cluster, set RAY_USAGE_STATS_ENABLED=0 there.

    Raises UnusableError without Ray, and as `sqe score` does for its output; ray.exceptions.RayError where workers keep
    dying, InputError where no column has recordings.
    """
    ray = _ray()
    opened = open_evaluator or partial(
        Evaluator.open, model, serving or Serving(threads=1, sandbox=Sandbox(children=1))
    )
    with _output(output, resume=resume, retry_errors=retry_errors) as rows:
        resources: dict[str, Any] = {
            "num_cpus": workers.cpus,
            "num_gpus": workers.gpus or None,
            "resources": dict(workers.resources),
        }
        if rows.done.models:
            rows.go_on(ray.get(ray.remote(**resources)(_model_of).remote(opened)), str(choices))
        made = {
            "opened": opened,
            "place": output,
            "run": rows.parts.following,
            "done": ray.put(rows.done),
            "choices": choices,
            "column": column,
        }
        counts = _dataset(ray, recordings).map_batches(
            _Worker,
            fn_constructor_kwargs=made,
            batch_size=workers.batch,
            batch_format="pyarrow",
            compute=_pool(ray, workers),
            max_restarts=workers.retries,
            max_task_retries=workers.retries,
            **resources,
        )
        for _ in counts.iter_batches():
            pass
        rows.look()
        rows.finish()
        return rows.done.summary


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise UnusableError('a cluster needs Ray: pip install "sqe-fast[ray]"') from error
    return ray


def _pool(ray: Any, workers: Workers) -> Any:
    if isinstance(workers.count, int):
        return ray.data.ActorPoolStrategy(size=workers.count)
    least, most = workers.count
    return ray.data.ActorPoolStrategy(min_size=least, max_size=most)


def _dataset(ray: Any, recordings: Iterable[str] | ray.data.Dataset) -> Any:
    if isinstance(recordings, ray.data.Dataset):
        return recordings
    if isinstance(recordings, str):
        raise TypeError("recordings are several paths, or a Dataset: put this one in a list")
    return ray.data.from_items([{"path": str(path)} for path in recordings])


@contextmanager
def _output(place: str, *, resume: bool, retry_errors: bool) -> Iterator[RowParts]:
    kind = RowParts if "://" in place else RowFolder  # a folder is locked, and may have a journal of `sqe score`
    with kind(place, resume=resume, retry_errors=retry_errors) as rows:
        yield rows


def _model_of(opened: Callable[[], Evaluator]) -> str:
    with opened() as evaluator:
        return evaluator.model


class _Worker:
    """An actor: a model, and what is known of earlier runs."""

    def __init__(
        self,
        opened: Callable[[], Evaluator],
        place: str,
        run: int,
        done: Any,
        choices: Choices,
        column: str | None,
    ) -> None:
        self._evaluator = opened()
        self._parts = Parts(place)
        self._run = run
        self._done: Done = _ray().get(done)
        self._choices = choices
        self._column = column

    def __call__(self, batch: pa.Table) -> pa.Table:
        """How many recordings were written."""
        wanted = list(self._not_done(of_table(batch, self._column)))
        rows = []
        for evaluations, origin in evaluated(self._evaluator, wanted, self._choices):
            rows += list(rows_of(evaluations, origin, timeline=self._choices.timeline is not None))
        if rows:
            self._parts.write(table_of(rows), f"part-{self._run:06}-{_digest(wanted)}.parquet")
        return arrow().table({"written": [len(wanted)]})

    def _not_done(self, items: Iterable[Item]) -> Iterator[tuple[Item, Origin]]:
        for item in items:
            origin = origin_of(item, self._choices)
            if not self._done.has(escaped(file_of(item)), origin.excerpt, origin.fingerprint):
                yield item, origin


def _digest(wanted: Iterable[tuple[Item, Origin]]) -> str:
    """Of what is in a part: the same batch has the same part."""
    digest = hashlib.sha256()
    for item, origin in wanted:
        digest.update(repr((file_of(item), origin.excerpt, origin.fingerprint)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
