"""Clips to audio embeddings: each once, and several in one call of the runner where that fills it better."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from sqe_fast.audio.features import LogMel
from sqe_fast.engine.sequence import AudioInput
from sqe_fast.engine.trace import Meter
from sqe_fast.runners.base import Embedding, Runner


class ClipEncoder:
    """Looks ahead to clips that will be asked for soon, up to the runner's `encode_frames` in a call."""

    def __init__(self, runner: Runner, cache_bytes: int, meter: Meter) -> None:
        self._runner = runner
        self._meter = meter
        self._cache = EncoderCache(cache_bytes)
        self._unclaimed: set[str] = set()
        """Encoded ahead, not asked for yet: the first to ask finds no repeat."""

    def embed(self, clips: Sequence[AudioInput], soon: Iterable[AudioInput]) -> list[Embedding]:
        """The embeddings of `clips`. Where one must be computed, `soon` may join it."""
        waiting = iter(soon)
        return [self._embedding(clip, waiting) for clip in clips]

    def _embedding(self, clip: AudioInput, soon: Iterable[AudioInput]) -> Embedding:
        cached = self._cache.get(clip.digest)
        if cached is not None:
            self._meter.add("encoder_cache_hits", clip.digest not in self._unclaimed)
            self._unclaimed.discard(clip.digest)
            return cached
        batch = self._batch(clip, soon)
        with self._meter.timed("encode_ms"):
            embeddings = self._runner.encode([(mel.data, mel.frames) for mel in batch.values()])
        self._meter.add("encoded_clips", len(batch))
        for digest, embedding in zip(batch, embeddings, strict=True):
            self._cache.put(digest, embedding)
        self._unclaimed |= batch.keys()
        self._unclaimed.discard(clip.digest)
        return embeddings[0]

    def _batch(self, first: AudioInput, soon: Iterable[AudioInput]) -> dict[str, LogMel]:
        """`first`, and what else fits: log-mels by digest."""
        batch = {first.digest: first.log_mel}
        for clip in soon:
            if sum(mel.frames for mel in batch.values()) >= self._runner.info.encode_frames:
                break
            if clip.digest not in batch and clip.digest not in self._cache:
                batch[clip.digest] = clip.log_mel
        return batch


class EncoderCache:
    """Least recently used embeddings go first once `max_bytes` are exceeded."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[str, Embedding] = OrderedDict()

    def __contains__(self, digest: str) -> bool:
        return digest in self._entries

    def get(self, digest: str) -> Embedding | None:
        embedding = self._entries.get(digest)
        if embedding is not None:
            self._entries.move_to_end(digest)
        return embedding

    def put(self, digest: str, embedding: Embedding) -> None:
        """Keep `embedding` [audio tokens, hidden]; one larger than the whole cache is not kept."""
        if embedding.nbytes > self.max_bytes or digest in self._entries:
            return
        self._entries[digest] = embedding
        self.bytes += embedding.nbytes
        while self.bytes > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= oldest.nbytes
