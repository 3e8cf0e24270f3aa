"""What the recordings of a library are: each category of noise by what a listener calls it, and what stands where.

Labels were checked against each file's A-weighted level over time, onsets a second and spectrum.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Category(NamedTuple):
    cause: str
    """A key of causes.KINDS."""
    weight: float
    """How often calls have it, beside others of the same cause."""


CATEGORIES = {
    "room/microphone background": Category("steady noise", 1.0),
    "street": Category("street noise", 1.0),
    "voices outdoors": Category("voices", 0.5),
    "coffee shop": Category("voices", 1.0),
    "boiler": Category("machine noise", 1.0),
    "washing machine": Category("machine noise", 1.0),
    "exercise bike": Category("machine noise", 1.0),
    "train": Category("machine noise", 1.0),
    "helicopter": Category("machine noise", 0.3),
    "chainsaw": Category("machine noise", 0.3),
    "wind": Category("wind", 1.0),
    "storm": Category("wind", 1.0),
    "rain": Category("water", 1.0),
    "running tap": Category("water", 1.0),
    "waves": Category("water", 0.5),
    "kitchen": Category("clatter", 1.0),
    "dishes": Category("clatter", 1.0),
    "fire crackle": Category("crackle", 1.0),
    "dog": Category("animal sounds", 1.0),
    "birds": Category("animal sounds", 0.7),
    "crickets": Category("animal sounds", 0.3),
    "rooster": Category("animal sounds", 0.15),
    "baby crying": Category("crying child", 1.0),
    "clock tick": Category("ticking", 1.0),
    "sneeze": Category("sudden sounds", 1.0),
    "fireworks": Category("sudden sounds", 0.3),
}

LABELS = {
    "speech_commands_bg/exercise_bike": "exercise bike",
    "speech_commands_bg/doing_the_dishes_00.flac": "running tap",
    "speech_commands_bg/doing_the_dishes_01.flac": "running tap",
    "berlin_noise/0619b0ad": "street",
    "berlin_noise/1cdcda78": "street",
    "blanket/city": "street",
    "berlin_noise/64710754": "street",
    "berlin_noise/35ef0bf2": "fireworks",
    "berlin_noise/5b6ddd39": "voices outdoors",
    "berlin_noise/9a12b4b8": "birds",
    "berlin_noise/a7b4879b": "wind",
}
"""Recordings, or single files of them, that are heard as something else, or more exactly, than their source says."""

UNCLEAR = {
    "speech_commands_bg/doing_the_dishes_03.flac": "a tap with now and then a dish",
    "speech_commands_bg/doing_the_dishes_04.flac": "a tap with now and then a dish",
    "speech_commands_bg/doing_the_dishes_05.flac": "a tap with now and then a dish",
    "berlin_noise/9a12b4b8_00.flac": "a far road, hardly a bird",
    "berlin_noise/9a12b4b8_04.flac": "a far road, hardly a bird",
    "precise_room/bg_noise": "a microphone switched on, then a floor with a thump",
    "precise_room/bg_noise3": "fades in from digital silence",
    "precise_room/bg_noise4": "fades in from digital silence",
    "precise_room/bg_noise5": "a floor with thumps",
    "precise_room/bg_noise6": "thumps below 150 Hz, 2 s",
    "precise_room/bg_noise7": "thumps below 150 Hz, 2 s",
    "precise_room/bg_noise8_01.flac": "a floor with loud single sounds",
    "precise_room/bg_noise9_02.flac": "a floor with thumps",
    "berlin_noise/9a12b4b8_01.flac": "a far road, few birds",
    "blanket/boat": "water, wood and wind at once",
    "blanket/fireplace": "a fire that roars and hardly crackles",
    "esc10/fire_crackle_1-46272-A": "a fire that roars and hardly crackles",
    "esc10/fire_crackle_3-157187-A": "a fire that roars and hardly crackles",
    "esc10/fire_crackle_4-164661-A": "a fire that roars and hardly crackles",
    "esc10/fire_crackle_4-181563-A": "a fire that roars and hardly crackles",
    "esc10/fire_crackle_4-182369-A": "a fire that roars and hardly crackles",
    "esc10/rain_2-81731-A": "single drops",
}
"""Recordings, or single files of them, that no listener would call by one name; not used."""

ROOMS = {
    "surrey_room_a": "Surrey room A",
    "spatialaudio_seminar": "seminar room",
    "webaudio_rooms/kitchen": "kitchen",
    "webaudio_rooms/cardiod": "hall",
    "webaudio_rooms/omni": "hall",
    "webaudio_rooms/super_ceiling": "hall",
    "webaudio_rooms/binaural": "second hall",
    "webaudio_rooms/tim_warehouse": "warehouse",
    "webaudio_rooms/echo_chamber": "echo chamber",
}
"""Beginnings of file names → the room; a file that begins as none of them is a room by itself."""
UNUSED_ROOMS = {"warehouse": "stretched in time", "echo chamber": "rings for 5 s; no call comes from there"}

HELD: dict[str, Literal["train", "validation", "test"]] = {
    "berlin_noise/0619b0ad": "train",
    "berlin_noise/64710754": "train",
    "freesound 44796": "validation",  # city
    "berlin_noise/1cdcda78": "test",
    "berlin_noise/5b6ddd39": "train",
    "blanket/coffee_shop": "test",
    "arabic_commands_bg/boiler": "train",
    "freesound 259988": "train",  # train
    "speech_commands_bg/exercise_bike": "validation",
    "arabic_commands_bg/washing_machine": "test",
    "berlin_noise/a7b4879b": "train",
    "freesound 41739": "validation",  # storm
    "freesound 217506": "test",  # wind
    "picovoice_kitchen/kitchen": "train",
    "speech_commands_bg/doing_the_dishes": "test",
    "berlin_noise/35ef0bf2": "train",
    "freesound 156826": "train",  # birds
    "berlin_noise/9a12b4b8": "test",
    "precise_room/bg_noise9": "train",
    "precise_room/bg_noise2": "validation",
    "precise_room/bg_noise8": "test",
    "Surrey room A": "train",
    "hall": "train",
    "kitchen": "validation",
    "seminar room": "test",
    "second hall": "test",
}
"""Where a cause has few recordings they are dealt out by hand, so that each split has some; and the rooms. All
others go by a hash of their name."""
