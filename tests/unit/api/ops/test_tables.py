"""The tables: the same rows on the page, in CSV and in JSON."""

import csv
import io
from typing import Any

import orjson
import pytest
from starlette.responses import Response

from api.ops.exports import as_csv, as_json
from api.ops.tables import TABLES, Column, Kind, Table
from tests.unit.api.ops.pages import world_in_trouble


async def exported(name: str, query: str = "") -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The table in JSON and in CSV."""
    world = await world_in_trouble()
    async with world.client() as client:
        as_objects = await client.get(f"/ops/tables/{name}.json{query}")
        as_text = await client.get(f"/ops/tables/{name}.csv{query}")
    assert "text/csv; charset=utf-8" == as_text.headers["content-type"]
    assert {"no-store"} == {found.headers["cache-control"] for found in (as_objects, as_text)}
    return as_objects.json(), list(csv.DictReader(io.StringIO(as_text.text)))


@pytest.mark.parametrize("name", TABLES)
async def test_a_table_is_the_same_in_csv_and_json(name: str) -> None:
    """Null is an empty cell."""
    rows, lines = await exported(name)

    assert rows
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows] == lines


async def test_the_partitions_of_a_lane_are_a_table() -> None:
    rows, lines = await exported("partitions", "?group=check&topic=likes")

    assert [0, 1, 2, 3, 4, 5] == [row["partition"] for row in rows]
    assert ["STOPPED"] * 3 == [line["state"] for line in lines[1::2]]


async def test_a_lane_has_growth_trend_and_what_was_in_time() -> None:
    """The lag of likes grows by what nobody reads, and a third of the samples was late."""
    [likes] = [row for row in (await exported("lanes"))[0] if row["topic"] == "likes"]

    assert likes["velocity_per_s"] == pytest.approx(
        likes["produced_per_s"] - likes["consumed_per_s"], abs=0.01
    )
    assert "grows" == likes["trend"]
    assert 0.6 < likes["in_time"] < 0.7


async def test_windows_pair_the_moves_of_a_switch() -> None:
    """The last one goes on; a move that was announced twice is one."""
    [last, first] = (await exported("switch-windows"))[0]

    assert ("ON", None, None) == (last["state"], last["off_at"], last["length_s"])
    assert ("OFF", 300.0) == (first["state"], first["length_s"])


async def test_a_run_is_one_row_with_its_last_state() -> None:
    [run] = (await exported("runs"))[0]

    assert ("finished", "user 7", "topics likes; reasons not_json") == (
        run["state"],
        run["by"],
        run["selected"],
    )


async def test_the_filter_holds_for_files() -> None:
    rows, _ = await exported("lanes", "?filter=stopped")

    assert ["likes"] == [row["topic"] for row in rows]


def table(value: object) -> Table:
    return Table("x", "X", [Column("a", "A"), Column("b", "B", Kind.EXPORTED)], [{"a": value, "c": 1}])


def test_a_table_has_the_values_of_its_columns_alone() -> None:
    body = as_json(table("x")).body

    assert [{"a": "x", "b": None}] == orjson.loads(bytes(body))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str) -> None:
    """A number stays one."""
    assert [f"'{text}", ""] == cells(as_csv(table(text)))
    assert ["-1", ""] == cells(as_csv(table(-1)))


def cells(response: Response) -> list[str]:
    return list(csv.reader(io.StringIO(bytes(response.body).decode(), newline="")))[1]
