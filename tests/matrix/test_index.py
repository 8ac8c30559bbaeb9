"""Every row of the fault matrix has a test, and every test that the index names exists."""

import ast
from functools import lru_cache
from pathlib import Path

import pytest

from tests.matrix.index import ROWS

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_tests_that_exist(row: str) -> None:
    assert ROWS[row]
    for node in ROWS[row]:
        path, name = node.split("::")
        assert name.startswith("test_")
        assert name in names_in(path), node


def test_the_page_about_reliability_shows_every_row() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()

    assert [row for row in ROWS if f"| {row} |" not in page] == []
