"""stock.json: written and read back, and refused by name where it is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sqe_fast.answer.causes import Calibration
from sqe_fast.answer.stock import Stock
from sqe_fast.errors import UnusableError
from tests.support.stocks import causes, stock


def test_a_stock_survives_its_file(tmp_path: Path) -> None:
    """A threshold rounded, a group lost."""
    kept = replace(stock(causes(hum=Calibration(1.25, -0.1, 1 / 3))), mos_error=1 / 7)
    kept.save(tmp_path / "stock.json")
    assert Stock.load(tmp_path / "stock.json") == kept


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in stock(causes()).to_dict().items() if name != field}


BROKEN = [
    "",
    "[]",
    json.dumps(without("causes")),
    json.dumps(without("reading")),
    json.dumps(without("phrases")),
    json.dumps(stock(causes()).to_dict() | {"causes": [{"name": "hum"}]}),
    json.dumps(stock(causes()).to_dict() | {"reading": {"hum": {"treshold": 0.5}}}),
    json.dumps(stock(causes()).to_dict() | {"reading": {}}),
    json.dumps(stock(causes()).to_dict() | {"mos_error": -0.1}),
    json.dumps(stock(causes()).to_dict() | {"mos_error": None}),
]


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_no_stock_is_refused(tmp_path: Path, content: str) -> None:
    """A misspelt threshold that leaves the default in force."""
    path = tmp_path / "stock.json"
    path.write_text(content)
    with pytest.raises(UnusableError, match=r"stock\.json: no stock"):
        Stock.load(path)


def test_a_missing_stock_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"stock\.json: missing"):
        Stock.load(tmp_path / "stock.json")
