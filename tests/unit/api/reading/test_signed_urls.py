"""Signed photo URLs: CloudFront's canned policy, and how long a URL stays the same."""

import asyncio
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

from api.reading.media_keys import KeyIds, MediaKeys
from api.reading.signed_urls import SignedUrl, UrlSigner
from tests.worlds.api import NOW_MS, Clock, media_key

NOW_S = NOW_MS // 1_000


def _signer(
    clock: Clock, counted: list[tuple[int, int]] | None = None, *, urls_cached_max: int = 1_000
) -> UrlSigner:
    return UrlSigner(
        media_url="https://media.example",
        keys=MediaKeys(KeyIds("K1"), media_key()),
        life_s_min=1_800,
        life_s_max=3_600,
        clock_us=clock.us,
        count=lambda cached, signed: None if counted is None else counted.append((cached, signed)),
        urls_cached_max=urls_cached_max,
    )


def _expires_s(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["Expires"][0])


@pytest.mark.parametrize("key", ["r/1/thumbnail.jpg", "a b/ü?&#%.jpg", "x" * 1_024])
async def test_a_url_carries_a_signature_of_itself(key: str) -> None:
    """The signed policy contains the URL exactly as written. The signature is RSA with SHA-1, in
    CloudFront's base64 alphabet."""
    url = (await _signer(Clock()).urls([key]))[key].url

    resource, query = url.split("?")
    parts = parse_qs(query, strict_parsing=True)
    assert set(parts) == {"Expires", "Signature", "Key-Pair-Id"}
    assert parts["Key-Pair-Id"] == ["K1"]
    policy = (
        f'{{"Statement":[{{"Resource":"{resource}",'
        f'"Condition":{{"DateLessThan":{{"AWS:EpochTime":{parts["Expires"][0]}}}}}}}]}}'
    )
    text = parts["Signature"][0].replace("-", "+").replace("_", "=").replace("~", "/")
    media_key().public_key().verify(b64decode(text), policy.encode(), PKCS1v15(), SHA1())
    assert urlsplit(url).path.isascii()


async def test_a_url_is_valid_for_30_to_60_minutes_and_stays_the_same_for_30() -> None:
    """The same URL is returned during a period of 30 minutes. At every moment it is valid for 30 to
    60 more minutes."""
    clock = Clock()
    signer = _signer(clock)
    seen: list[str] = []
    for _ in range(7_200 // 60):
        url = (await signer.urls(["key"]))["key"].url
        assert 1_800 <= _expires_s(url) - clock.ms // 1_000 <= 3_600
        seen.append(url)
        clock.ms += 60_000

    assert 4 <= len(set(seen)) <= 5


async def test_the_urls_of_different_keys_change_at_different_times() -> None:
    """Otherwise all URLs would have to be signed again at the same moment, twice an hour."""
    urls = await _signer(Clock()).urls([f"key-{number}" for number in range(50)])

    assert len({_expires_s(signed.url) for signed in urls.values()}) > 25


async def test_a_url_is_signed_once_a_period() -> None:
    """The next page with the same photos costs no signature."""
    counted: list[tuple[int, int]] = []
    signer = _signer(Clock(), counted)
    await signer.urls(["a", "b"])
    await signer.urls(["a", "b", "c"])

    assert counted == [(0, 2), (2, 1)]


async def test_concurrent_pages_sign_a_url_once() -> None:
    """The first page signs and the others wait. If one page is cancelled, the others still get the
    URL."""
    counted: list[tuple[int, int]] = []
    signer = _signer(Clock(), counted)
    keys = [f"key-{number}" for number in range(60)]

    pages = [asyncio.create_task(signer.urls(keys[start:])) for start in (0, 20, 40)]
    await asyncio.sleep(0)
    pages[0].cancel()
    _, second, third = await asyncio.gather(*pages, return_exceptions=True)

    assert isinstance(second, dict)
    assert isinstance(third, dict)
    assert (set(second), set(third)) == (set(keys[20:]), set(keys[40:]))
    assert third.items() <= second.items()
    assert counted == [(0, 60), (40, 0), (20, 0)]


async def test_cached_urls_are_bounded() -> None:
    """The oldest URLs are evicted first."""
    counted: list[tuple[int, int]] = []
    signer = _signer(Clock(), counted, urls_cached_max=2)
    for key in ("a", "b", "c", "c", "a"):
        await signer.urls([key])

    assert counted == [(0, 1), (0, 1), (0, 1), (1, 0), (0, 1)]


async def test_urls_of_the_previous_key_stay_and_those_of_a_withdrawn_key_are_signed_again() -> None:
    """The edges accept the previous key's URLs, and signing all of them again would take seconds. The
    URLs of a key that was withdrawn are refused by the edges."""
    counted: list[tuple[int, int]] = []
    signer = _signer(Clock(), counted)
    before = await signer.urls(["a"])
    signer.use(MediaKeys(KeyIds("K2", frozenset({"K1"})), media_key()))
    rotated = await signer.urls(["a", "b"])
    signer.use(MediaKeys(KeyIds("K3", frozenset({"K2"})), media_key()))
    withdrawn = await signer.urls(["a", "b"])

    assert (rotated["a"], _key_ids(rotated)) == (before["a"], ["K1", "K2"])
    assert (withdrawn["b"], _key_ids(withdrawn)) == (rotated["b"], ["K3", "K2"])
    assert counted == [(0, 1), (1, 1), (1, 1)]


async def test_a_url_whose_key_is_withdrawn_while_it_is_being_signed_is_signed_again() -> None:
    """Otherwise the URL of the withdrawn key would be served for half an hour."""
    signer = _signer(Clock())
    page = asyncio.create_task(signer.urls(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # Now a thread signs.
    signer.use(MediaKeys(KeyIds("K2"), media_key()))

    assert _key_ids(await page) == ["K2"]
    assert _key_ids(await signer.urls(["a"])) == ["K2"]


def _key_ids(urls: dict[str, SignedUrl]) -> list[str]:
    return [parse_qs(urlsplit(signed.url).query)["Key-Pair-Id"][0] for _, signed in sorted(urls.items())]


def test_equal_minimum_and_maximum_lives_are_rejected() -> None:
    """The difference is the time for which a URL stays the same, so it must not be zero."""
    with pytest.raises(ValueError, match="must be below"):
        UrlSigner(
            "https://media.example",
            MediaKeys(KeyIds("K1"), media_key()),
            60,
            60,
            Clock().us,
            lambda cached, signed: None,
        )
