"""Audio embeddings by content: a clip that returns, in a comparison or a second question, is not encoded again."""

from __future__ import annotations

from collections import OrderedDict

from sqe_fast.runners.base import Embedding


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
