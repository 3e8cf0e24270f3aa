import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal as dsp

from tests.support.speech import SAMPLE_RATE, talk
from training.simulation import codec_libraries, speech_codecs
from training.simulation.codec_libraries import DEBIAN, load
from training.simulation.library import Library
from training.simulation.measures import active_level
from training.simulation.speech_codecs import CODECS, TELEPHONE, codec, draw, through
from training.simulation.stage import Degradation, Materials

NONE = Materials({})
README = Path(codec_libraries.__file__).parents[1] / "README.md"
NO_LIBRARY = Library({}, (), (), ())
TELEPHONE_BAND = {"low_hz": 200.0, "high_hz": 3600.0}


def coded(kind: str, bit_rate: int, seed: int = 0) -> tuple[np.ndarray, tuple[Degradation, ...]]:
    band = TELEPHONE_BAND if CODECS[kind].rate == TELEPHONE else None
    return codec(talk(), {"codecs": [[kind, bit_rate]], "band": band}, NONE, np.random.default_rng(seed))


def syllables(speech: np.ndarray) -> np.ndarray:
    """Logarithm of the envelope up to 30 Hz."""
    smooth = dsp.sosfiltfilt(dsp.butter(2, 30, fs=SAMPLE_RATE, output="sos"), np.abs(speech.astype(np.float64)))
    return np.log(np.maximum(smooth, 1e-4))


@pytest.mark.parametrize("kind", CODECS)
def test_a_codec_codes_and_its_delay_is_undone(kind: str) -> None:
    """A codec that hands through what it gets, or whose delay is wrong by a frame."""
    speech, best = talk(), max(CODECS[kind].harm)
    decoded = through(speech, CODECS[kind], best, np.random.default_rng(0))
    sent = speech if CODECS[kind].rate == SAMPLE_RATE else speech_codecs.narrow(speech)
    assert decoded.size == speech.size
    assert np.abs(decoded - sent).max() > 1e-3
    # without the lowest harmonics, whose phase the high-pass of a speech coder turns
    heard, wanted = (np.diff(np.diff(samples)) for samples in (decoded, sent))
    likeness = dsp.correlate(heard, wanted, method="fft")
    assert abs(int(np.argmax(likeness)) - (heard.size - 1)) <= 2
    assert likeness.max() > 0.5 * np.linalg.norm(heard) * np.linalg.norm(wanted)


@pytest.mark.parametrize(("kind", "bit_rate"), [(kind, rate) for kind, codec in CODECS.items() for rate in codec.harm])
def test_every_rate_of_the_table_is_one_that_the_codec_has(kind: str, bit_rate: int) -> None:
    """A rate that the codec refuses, or codes as silence."""
    speech = talk(2.0)
    band = TELEPHONE_BAND if CODECS[kind].rate == TELEPHONE else None
    params = {"codecs": [[kind, bit_rate]], "band": band}
    decoded, degradations = codec(speech, params, NONE, np.random.default_rng(0))
    assert np.corrcoef(syllables(decoded), syllables(speech))[0, 1] > 0.8
    assert active_level(decoded) == pytest.approx(active_level(speech), abs=0.5)
    assert all(np.isfinite(value) for value in degradations[0].measures.values())


@pytest.mark.parametrize("kind", [kind for kind, codec in CODECS.items() if len(codec.harm) > 2])
def test_a_lower_rate_does_more_harm(kind: str) -> None:
    """Rates that make no difference: the bit rate does not reach the coder."""
    best, worst = max(CODECS[kind].harm), min(CODECS[kind].harm)
    good, bad = (coded(kind, rate)[1][0].measures for rate in (best, worst))
    assert bad["fine_db"] > good["fine_db"] + 0.3
    assert CODECS[kind].harm[worst] > CODECS[kind].harm[best]


def test_a_codec_at_8_khz_narrows_the_band_and_says_so() -> None:
    """A telephone call whose lost treble no cause explains."""
    decoded, (coding, band) = coded("gsm", 13_200)
    assert (coding.name, coding.kind) == ("coding", "gsm")
    assert (band.name, dict(band.measures)) == ("telephone band", TELEPHONE_BAND)
    power = np.abs(np.fft.rfft(decoded)) ** 2
    hertz = np.fft.rfftfreq(decoded.size, 1 / SAMPLE_RATE)
    assert power[hertz > 4500].mean() < 1e-4 * power[(hertz > 300) & (hertz < 3000)].mean()
    assert [degradation.name for degradation in coded("g722", 64_000)[1]] == ["coding"]


def test_a_tandem_does_more_harm_than_each_of_its_codecs() -> None:
    """Only the first, or only the last of them is run."""
    speech = talk()

    def harm(*codecs: list[object]) -> float:
        params = {"codecs": list(codecs), "band": TELEPHONE_BAND}
        (coding, _) = codec(speech, params, NONE, np.random.default_rng(0))[1]
        return float(coding.measures["fine_db"])

    both = harm(["amr-nb", 5900], ["gsm", 13_200])
    assert both > max(harm(["amr-nb", 5900]), harm(["gsm", 13_200])) + 0.2


def test_frames_lie_anywhere() -> None:
    """Frames that begin with the clip, by which a model may tell codecs."""
    first, second = (coded("amr-wb", 12_650, seed)[0] for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_silence_is_passed_on() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    decoded, degradations = codec(silence, {"codecs": [["gsm", 13_200]], "band": None}, NONE, np.random.default_rng(0))
    assert not decoded.any()
    assert degradations == ()


def test_what_a_codec_cannot_hold_is_passed_on() -> None:
    """Levels of nothing: a division by zero once in so many thousand clips."""
    faint = talk() * np.float32(1e-6)
    for kind in ("sbc", "speex-wb"):
        params = {"codecs": [[kind, max(CODECS[kind].harm)]] * 2, "band": None}
        decoded, degradations = codec(faint, params, NONE, np.random.default_rng(0))
        assert np.array_equal(decoded, faint)
        assert degradations == ()


def test_the_documented_command_installs_every_library() -> None:
    """A library that the code asks for and training/README.md does not."""
    (command,) = [line for line in README.read_text().splitlines() if line.startswith("apt-get install ")]
    assert set(DEBIAN) <= set(command.split())


def test_a_severer_draw_is_of_worse_codecs() -> None:
    def harm(severity: float) -> float:
        rng = np.random.default_rng(0)
        drawn = [draw(severity, NO_LIBRARY, rng)["codecs"] for _ in range(60)]
        return float(np.mean([sum(CODECS[kind].harm[rate] for kind, rate in codecs) for codecs in drawn]))

    harms = [harm(severity) for severity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert harms == sorted(harms)
    assert harms[0] < 0.15
    assert harms[-1] > 0.7


def test_a_draw_names_a_band_where_a_codec_works_at_8_khz_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        params = draw(float(rng.random()), NO_LIBRARY, rng)
        assert bool(params["band"]) == any(CODECS[kind].rate == TELEPHONE for kind, _ in params["codecs"])
        assert 1 <= len(params["codecs"]) <= 3


EVERY_CODEC = """
import hashlib, numpy as np
from training.simulation.speech_codecs import CODECS, through
rng = np.random.default_rng(0)
speech = (0.1 * np.sin(np.arange(32000) / 30) * rng.standard_normal(32000)).astype(np.float32)
for kind, codec in CODECS.items():
    decoded = through(speech, codec, min(codec.harm), rng)
    print(kind, hashlib.sha256(decoded.tobytes()).hexdigest())
"""


def test_another_process_decodes_the_same_samples() -> None:
    """A codec whose state is not of its own, or starts with whatever lies in memory."""
    runs = [
        subprocess.run([sys.executable, "-c", EVERY_CODEC], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) == len(CODECS)


def test_an_absent_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec left out in silence because its library is not there."""

    def absent(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(codec_libraries.ctypes, "CDLL", absent)
    for package in DEBIAN:
        with pytest.raises(ModuleNotFoundError, match=f"apt-get install .*{package}"):
            load.__wrapped__(package)
