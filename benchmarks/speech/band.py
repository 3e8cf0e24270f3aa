"""A band that plays what a random number writes: General MIDI on recorded instruments, rendered by FluidSynth.

apt-get install fluidsynth fluid-soundfont-gm    # FluidR3 by Frank Wen, MIT
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from tests.support.not_speech import RATE, Sound

SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
_TICKS = 480
"""Of a quarter note."""
_PROGRAMS = [number for number in range(120) if not 52 <= number <= 54]
"""Without choirs, which sing vowels, and without the effects at the end."""
_DRUMS = 9
_Event = tuple[int, bytes]
"""At a tick, a MIDI message."""


def play(songs: int, seconds: float, rng: np.random.Generator) -> Sound:
    """[n] at 16 kHz: songs of one to four parts, one after another. CalledProcessError where FluidSynth fails."""
    with tempfile.TemporaryDirectory() as folder:
        files, wave = [Path(folder, f"{number}.mid") for number in range(songs)], Path(folder, "songs.wav")
        for file in files:
            file.write_bytes(_song(seconds, rng))
        command = ["fluidsynth", "-niq", "-r", str(RATE), "-F", wave, SOUND_FONT, *files]
        subprocess.run(command, check=True, capture_output=True)
        samples, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    mono: Sound = samples.mean(axis=1)
    return mono


def _song(seconds: float, rng: np.random.Generator) -> bytes:
    beats_per_minute = rng.uniform(60, 170)
    bars = int(seconds * beats_per_minute / 60 / 4) + 1
    scale = [0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.6 else [0, 2, 3, 5, 7, 8, 10]
    root, chords = int(rng.integers(40, 56)), rng.choice([0, 3, 4, 5, 1], bars)
    parts = rng.random(4) < (0.8, 0.75, 0.6, 0.5)
    if not parts[:3].any():
        parts[3] = True
    events: list[_Event] = []
    for channel, (part, low) in enumerate(zip((_chords, _melody, _bass), (12, 24, 0), strict=True)):
        if parts[channel]:
            events.append((0, bytes([0xC0 | channel, int(rng.choice(_PROGRAMS))])))
            events += part(channel, [[root + low + _step(scale, chord, k) for k in range(10)] for chord in chords], rng)
    if parts[3]:
        events += _drums(bars, rng)
    tempo = bytes([0xFF, 0x51, 3]) + round(60e6 / beats_per_minute).to_bytes(3, "big")
    return _midi([(0, tempo), *sorted(events, key=lambda event: event[0])])


def _step(scale: list[int], chord: int, step: int) -> int:
    return scale[(chord + step) % 7] + 12 * ((chord + step) // 7)


def _note(channel: int, start: float, length: float, pitch: int, velocity: int) -> list[_Event]:
    """From beat `start` on."""
    first, last = round(start * _TICKS), round((start + length) * _TICKS)
    return [(first, bytes([0x90 | channel, pitch, velocity])), (last, bytes([0x80 | channel, pitch, 0]))]


def _chords(channel: int, notes: list[list[int]], rng: np.random.Generator) -> list[_Event]:
    broken, length = rng.random() < 0.4, float(rng.choice([1, 2, 4]))
    events: list[_Event] = []
    for bar, scale in enumerate(notes):
        for turn in range(int(4 / length)):
            for place, step in enumerate((0, 2, 4)):
                late = place * length / 3 if broken else 0.0
                start = 4 * bar + turn * length + late
                events += _note(channel, start, (length - late) * 0.95, scale[step], int(rng.integers(45, 80)))
    return events


def _melody(channel: int, notes: list[list[int]], rng: np.random.Generator) -> list[_Event]:
    events: list[_Event] = []
    moment, legato = 0.0, rng.uniform(0.5, 1.1)
    while moment < 4 * len(notes):
        length = float(rng.choice([0.25, 0.5, 0.5, 1, 1, 2]))
        if rng.random() < 0.85:
            pitch = notes[int(moment / 4)][int(rng.integers(10))]
            events += _note(channel, moment, length * legato, pitch, int(rng.integers(60, 120)))
            if rng.random() < 0.2:  # slide into the next
                for share in range(5):
                    bend = 8192 + share * int(rng.choice([-1500, 1500]))
                    at = round((moment + length * (0.5 + share / 10)) * _TICKS)
                    events.append((at, bytes([0xE0 | channel, bend & 127, bend >> 7])))
                events.append((round((moment + length) * _TICKS), bytes([0xE0 | channel, 0, 64])))
        moment += length
    return events


def _bass(channel: int, notes: list[list[int]], rng: np.random.Generator) -> list[_Event]:
    length = float(rng.choice([0.5, 1, 2]))
    starts = np.arange(0, 4 * len(notes), length)
    return [
        event
        for start in starts
        for event in _note(channel, start, length * 0.9, notes[int(start / 4)][int(rng.choice([0, 0, 4]))] - 12, 90)
    ]


def _drums(bars: int, rng: np.random.Generator) -> list[_Event]:
    kit = [(36, rng.random(16) < 0.25), (38, rng.random(16) < 0.15), (42, rng.random(16) < 0.6)]
    kit += [(int(rng.integers(43, 82)), rng.random(16) < 0.15)]
    events: list[_Event] = []
    for sixteenth in range(16 * bars):
        for pitch, pattern in kit:
            if pattern[sixteenth % 16]:
                events += _note(_DRUMS, sixteenth / 4, 0.2, pitch, int(rng.integers(60, 120)))
    return events


def _midi(events: list[_Event]) -> bytes:
    """A standard MIDI file of one track; events in the order of their ticks."""
    track, now = bytearray(), 0
    for tick, message in events:
        track += _variable(tick - now) + message
        now = tick
    track += b"\0\xff\x2f\0"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return head + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _variable(number: int) -> bytes:
    """Seven bits a byte, the highest first, as MIDI counts."""
    found = [number & 127]
    while number := number >> 7:
        found.append(number & 127 | 128)
    return bytes(reversed(found))
