"""A checkpoint's stock, stock.json: what it can name, how its readings are calibrated, and its phrases."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqe_fast.answer.causes import Calibration, Causes, Kind
from sqe_fast.answer.phrases import Phrases
from sqe_fast.errors import UnusableError


@dataclass(frozen=True)
class Stock:
    """Belongs to the weights that were trained with it."""

    causes: Causes
    phrases: Phrases
    mos_error: float = 0.0
    """Standard deviation of what its MOS errs by beyond its own distribution, in rating points; measured on clips that
    it did not learn from. 0: not measured."""

    @classmethod
    def load(cls, path: Path) -> Stock:
        """Raises UnusableError where the file is missing or is no stock."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise UnusableError(f"{path}: missing, and the checkpoint's template needs it") from error
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableError(f"{path}: no stock of names and phrases ({error!r})") from error

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Stock:
        """Of stock.json's fields. Raises KeyError, TypeError or ValueError where they are none."""
        kinds = tuple(Kind(each["name"], each["dimension"], each["group"]) for each in fields["causes"])
        reading = {name: Calibration(**figures) for name, figures in fields["reading"].items()}
        phrases = Phrases(dict(fields["phrases"]), {kind.name: kind.dimension for kind in kinds})
        error = float(fields.get("mos_error", 0.0))
        if not 0 <= error < math.inf:
            raise ValueError(f"mos_error is {error}")
        return cls(Causes(kinds, reading), phrases, error)

    def to_dict(self) -> dict[str, Any]:
        return {
            "causes": [asdict(kind) for kind in self.causes.kinds],
            "reading": {name: asdict(self.causes.reading[name]) for name in self.causes.entries},
            "mos_error": self.mos_error,
            "phrases": self.phrases.fields,
        }

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
