"""Reading follow edges from files, and saying what is wrong with an invalid file."""

import gzip
from pathlib import Path

import pytest

from streams.kafka.producing.load import BadEdge, count_lines, opened, read_edges


def _file(folder: Path, content: bytes, name: str = "edges.tsv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def _edges(path: Path) -> list[tuple[int, int]]:
    with opened(path) as lines:
        return list(read_edges(lines, path.name))


@pytest.mark.parametrize("name", ["edges.tsv", "edges.tsv.gz"])
@pytest.mark.parametrize("head", [b"", b"follower\tfollowee\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_edges_are_read_in_the_files_order(tmp_path: Path, name: str, head: bytes, end: bytes) -> None:
    """Packed or not, with a header or without, with either kind of line end."""
    path = _file(tmp_path, head + b"1\t2" + end + b"9223372036854775807\t1" + end, name)

    assert _edges(path) == [(1, 2), (2**63 - 1, 1)]


def test_an_empty_file_has_no_edges(tmp_path: Path) -> None:
    """An empty file is valid."""
    assert _edges(_file(tmp_path, b"")) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"3", "1 fields, but must be follower and followee"),
        (b"3\t4\t5", "3 fields"),
        (b"", "1 fields"),
        (b"3\tx", "followee is 'x', but must be an integer"),
        (b"0\t4", "follower is '0'"),
        (b"3\t9223372036854775808", "followee is '9223372036854775808'"),
        (b"3\t3", "3 follows itself"),
        (b"follower\tfollowee", "follower is 'follower'"),
        (b"3\t\xff", "can't decode"),
    ],
)
def test_a_line_that_is_no_edge_is_named_with_the_rule(tmp_path: Path, line: bytes, rule: str) -> None:
    """The error names the file, the line's number, the value, and what it must be."""
    path = _file(tmp_path, b"1\t2\n" + line + b"\n")

    with pytest.raises(BadEdge) as refused:
        _edges(path)

    assert "edges.tsv, line 2: " in str(refused.value)
    assert rule in str(refused.value)


def test_what_is_before_a_bad_line_is_read(tmp_path: Path) -> None:
    """The edges before the bad line are returned; loading them again later is harmless."""
    with opened(_file(tmp_path, b"1\t2\n3\t4\nx\n")) as lines:
        edges = read_edges(lines, "edges.tsv")

        assert [next(edges), next(edges)] == [(1, 2), (3, 4)]
        with pytest.raises(BadEdge):
            next(edges)


@pytest.mark.parametrize(
    "content", [b"not packed at all", gzip.compress(b"1\t2\n" * 10_000)[:-20]], ids=["not packed", "cut off"]
)
def test_a_damaged_archive_is_told_in_words(tmp_path: Path, content: bytes) -> None:
    """The name ends in .gz, but the bytes are not gzip or are cut off; the error names the file."""
    path = tmp_path / "edges.tsv.gz"
    path.write_bytes(content)

    with pytest.raises(BadEdge, match=r"edges\.tsv\.gz"):
        count_lines(path)
    with pytest.raises(BadEdge, match=r"edges\.tsv\.gz"):
        _edges(path)


def test_lines_are_counted_for_the_bar(tmp_path: Path) -> None:
    """A header counts as a line, so the progress bar may end one short."""
    assert count_lines(_file(tmp_path, b"1\t2\n3\t4\n", "edges.tsv.gz")) == 2
