"""The decoder against itself: padding, causality, KV memory, audio among its inputs."""

from __future__ import annotations

import pytest
import torch

from sqe_fast.model.decoder import CacheRows, KVCache, Qwen2Decoder
from tests.support.small_model import AUDIO_TOKEN, SMALL, random_clip, small_model

TEXT = torch.tensor([[9, 31, 12, 77, 150, 42, 18, 100, 64, 8, 0, 21]])


def expert() -> Qwen2Decoder:
    return small_model().decoder.double()


def test_padding_on_the_right_changes_nothing() -> None:
    decoder = expert()
    padded = torch.cat([TEXT, torch.full((1, 5), 3)], dim=1)
    short, long = (decoder(decoder.embed(tokens)) for tokens in (TEXT, padded))
    torch.testing.assert_close(long[:, : TEXT.shape[1]], short, rtol=0, atol=1e-12)


def test_only_the_past_is_seen() -> None:
    decoder = expert()
    changed = TEXT.clone()
    changed[0, 6] = 33
    before, after = (decoder(decoder.embed(tokens)) for tokens in (TEXT, changed))
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=0, atol=1e-12)
    assert (after[:, 6:] - before[:, 6:]).abs().amax(-1).min() > 1e-3


@torch.no_grad()
def test_pieces_through_the_memory_equal_the_whole() -> None:
    """Prefill, append several tokens, then decode one by one, in a slot that held something else."""
    decoder = expert()
    whole = decoder(decoder.embed(TEXT))
    cache = KVCache.allocate(SMALL.text, slots=3, max_length=16, like=decoder.head.weight)
    cache.keys.fill_(1e3)
    cache.values.fill_(1e3)
    pieces, past = [], 0
    for piece in TEXT.split([4, 5, 1, 1, 1], dim=1):
        pieces.append(decoder(decoder.embed(piece), CacheRows(cache, [1], [past])))
        past += piece.shape[1]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-12)


def test_audio_takes_the_places_of_its_tokens_in_order() -> None:
    model = small_model()
    tokens = torch.tensor([[9, AUDIO_TOKEN, AUDIO_TOKEN, 7], [AUDIO_TOKEN, 8, 6, 3]])
    audio = torch.arange(3.0)[:, None].expand(3, SMALL.text.hidden_size) + 100
    embeds = model.embed(tokens, [audio[:2], audio[2:]])
    assert embeds[0, 1:3, 0].tolist() == [100, 101]
    assert embeds[1, 0, 0] == 102
    assert torch.equal(embeds[1, 1], model.decoder.embed.weight[8])


def test_gradients_reach_the_encoder_through_the_audio() -> None:
    model = small_model()
    audio = model.encode_batch([random_clip(20)])
    tokens = torch.tensor([[1, *[AUDIO_TOKEN] * len(audio[0]), 2]])
    model.logits(model(tokens, audio))[0, -1, 7].backward()
    assert model.encoder.conv1.weight.grad.abs().max() > 0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_embeddings_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"2 audio tokens, but {count}"):
        small_model().embed(torch.tensor([[AUDIO_TOKEN, AUDIO_TOKEN]]), torch.zeros(count, SMALL.text.hidden_size))
