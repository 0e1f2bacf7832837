"""A table as CSV or JSON."""

import csv
import io

from starlette.responses import Response

from api.http.responses import json_response
from api.ops.tables import Table

# A spreadsheet takes a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(table: Table) -> Response:
    """Return the rows as a list of objects."""
    return json_response(table.json())


def as_csv(table: Table) -> Response:
    """Return the rows as RFC 4180 has them, with the names of the columns first."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in table.columns])
    writer.writerows([_cell(value) for value in row.values()] for row in table.json())
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{table.name}.csv"',
    }
    return Response(text.getvalue(), headers=headers, media_type="text/csv")


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
