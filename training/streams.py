"""Every random stream of training, by name.

A run has one seed. Whatever is decided by chance draws from a stream of its own, so that no decision follows from
another, and what is drawn for one step, clip or question does not depend on what was drawn before it.

In the simulated corpus the seed names the clip. What is drawn there decides the sound to which the labels in
training/rating/labels.csv.gz belong.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np

WORD = 1 << 32
"""Seed sequences are made of words of 32 bits; a larger index would be two of them, and could be mistaken."""


@unique
class Stream(IntEnum):
    """What is decided, and the indices by which one decision is told from another. A number, once given, stays."""

    CLIP_EXCERPT = 50
    """Which speech, which part of it."""
    CLIP_RECIPE = 51
    """Which degradations."""
    CLIP_STAGE = 52
    """What happens within a stage: its place in the recipe."""
    WITNESS = 54
    """The raters that PLCMOS stands in for. The clip has no say in it: the seed is 0."""

    TOKENIZER_TEXTS = 1
    """Of which captions the small tokenizer is learnt."""
    CAPTION = 2
    """A language model's description: clip's seed, number among the clip's descriptions."""
    ARGUMENT = 3
    """A language model's argument: seeds of both clips."""
    ARGUED_PAIRS = 4
    """Which pairs of clips a language model argues."""
    FIXED_CAPTION = 5
    """The grammar's one text of a clip, or of a pair: their seeds. The run has no say in it: its seed is 0."""

    DEMONSTRATION = 6
    """An example in a language model's prompt: description or argument, its place. The run has no say in it."""

    ENCODER_WEIGHTS = 10
    """Initial projector, decoder and pooled head."""
    ENCODER_ORDER = 11
    """Which clips make a batch of the encoder's warm-up: epoch."""
    ENCODER_HUMAN = 15
    """Whether a batch of the encoder's warm-up is of clips that people rated: its index."""
    ENCODER_HUMAN_ORDER = 16
    """Which of them make a batch: epoch."""
    EXPERT_WEIGHTS = 12
    """Initial decoder of the text expert."""
    EXPERT_ORDER = 13
    """Which clips make a batch: epoch."""
    EXPERT_BATCH = 14
    """Task, pairs and words of a batch: its index."""

    SFT_WEIGHTS = 20
    """Initial adapters, and whatever part of the model is not loaded."""
    SFT_MODALITY = 21
    """Whether a batch is heard, read, or heard and rated by people: its index."""
    SFT_AUDIO_ORDER = 22
    """Which clips make an audio batch: epoch."""
    SFT_AUDIO_BATCH = 23
    """Task, pairs and words of an audio batch: its index."""
    SFT_TEXT_ORDER = 24
    """Which clips make a text batch: epoch."""
    SFT_TEXT_BATCH = 25
    """Task, pairs and words of a text batch: its index."""

    SFT_HUMAN_ORDER = 26
    """Which clips make a batch of those that people rated: epoch."""
    SFT_HUMAN_BATCH = 27
    """The words of such a batch, if it had any: its index."""

    ALLD_WEIGHTS = 30
    """Initial adapters."""
    ALLD_PAIRS = 31
    """Which pairs of clips are compared."""
    ALLD_ANSWER = 32
    """The model's own answer y_a: seeds of the question's clips."""
    ALLD_ORDER = 33
    """Which questions make a batch: epoch."""
    ALLD_WORDS = 34
    """The corpus text y_t of a batch: epoch, number within it."""
    CALIBRATION = 35
    """The lists on which causes are calibrated: clip's seed, how many lists it has had."""
    DRAFTS = 36
    """Of which recordings a checkpoint's own texts are kept."""

    EVALUATED_PAIRS = 40
    """Which pairs of a test set are compared."""
    REFERENCE_TEXT = 41
    """The texts against which BLEU is counted: draw, whether it is the reference or a second text, row."""
    BOOTSTRAP = 42
    """Resamples behind an interval."""
    SAME_SOUND = 43
    """How a clip is changed: which change, which clip."""

    SINGLE = 44
    """A clip with one degradation: the family's name (its CRC-32), number among its clips."""

    UNHEARD = 53
    """Inaudible changes of a clip each time that it is heard in training: clip's seed, how often it was heard."""

    SILENCE_AROUND = 55
    """Silence around a clip each time that it is heard in training: clip's seed, how often it was heard."""

    CODEC_WEIGHTS = 60
    """Initial neural codec of the simulation."""
    CODEC_BATCH = 61
    """Excerpts, levels and codebooks of its batch: index."""


def stream(which: Stream, seed: int, *indices: int) -> np.random.Generator:
    """The generator of one decision. Raises ValueError for a negative number, or an index of more than 32 bits."""
    return np.random.default_rng(_sequence(which, seed, indices))


def seed_of(which: Stream, seed: int, *indices: int) -> int:
    """The same for whoever takes a number: `torch.manual_seed`, the engine."""
    return int(_sequence(which, seed, indices).generate_state(1, np.uint64)[0])


def _sequence(which: Stream, seed: int, indices: tuple[int, ...]) -> np.random.SeedSequence:
    """The name goes into the spawn key, which NumPy keeps apart from the seed. In a plain list of numbers trailing
    zeros say nothing: [5] and [5, 0] give the same generator."""
    if not all(0 <= index < WORD for index in indices):
        raise ValueError(f"the indices of a stream must be 0 to {WORD - 1}, not {indices}")
    return np.random.SeedSequence(seed, spawn_key=(which, *indices))
