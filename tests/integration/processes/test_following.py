"""One search in the logs, or one trace, tells the way of an event from the request to the timelines."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pyvips  # type: ignore[import-untyped]

from bench.traffic.events import fresh_users
from bench.traffic.waiting import eventually
from schemas.facts import UserFollowed
from shutterline.tokens import tokens_for
from tests.integration.conftest import DeploymentFactory
from tests.integration.processes.collector import collecting
from tests.integration.processes.log_lines import log_lines

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CAPTION = "Zwetschgendatschi mit Sahne"
PHOTO_SPANS = {
    *("POST /v1/photos", "publish photo.uploaded.v1"),
    *("check uploads", "thumbnail", "timelines normal", "full"),
}


def way_of(event_id: str, lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[tuple[str, str]]:
    """Which process said what of the event."""
    return {
        (process, line["event"])
        for process, of_process in lines.items()
        for line in of_process
        if event_id in (line.get("event_id"), *line.get("event_ids", ()))
    }


async def test_an_upload_and_a_follow_are_found_by_event_and_by_trace(deploy: DeploymentFactory) -> None:
    """Every line of every process is an object with the same keys, and none has a caption or a token."""
    author, follower = fresh_users(2)
    with collecting() as collector:
        deployment = deploy(log_level="debug", tracing=1, access_log_reads_one_of=1)
        deployment.environment |= collector.environment
        deployment.start_all(media=True, monitor=True)
        token_of = tokens_for(deployment.settings)
        async with httpx.AsyncClient(base_url=deployment.settings.api, timeout=30) as client:
            headers = {"Authorization": f"Bearer {token_of(author)}", "traceparent": TRACEPARENT}
            posted = await client.post(
                "/v1/photos",
                params={"caption": CAPTION},
                content=pyvips.Image.black(200, 100).jpegsave_buffer(),
                headers={**headers, "Content-Type": "image/jpeg"},
            )
            assert posted.status_code == 202, posted.text
            headers["Authorization"] = f"Bearer {token_of(follower)}"
            assert (await client.put(f"/v1/social/follow/{author}", headers=headers)).status_code == 204
        await deployment.publish(
            [deployment.outgoing(UserFollowed.model_construct(follower_id=author, followee_id=author))]
        )
        expected = {*PHOTO_SPANS, "publish user.followed.v1", "check follows", "edges"}
        await eventually("the spans are collected", lambda: expected <= collector.names(TRACE))
        await deployment.drained()
        processes = {
            name: deployment.stack.process(f"{deployment.namespace}{name}")
            for name in ("api", "worker-1", "media-1", "monitor")
        }
        deployment.stop()

    text = "".join(process.log_file.read_text() for process in processes.values())
    lines = {name: log_lines(process.log_file) for name, process in processes.items()}
    keys = {"time", "level", "process", "logger", "event"}
    assert [] == [line for of in lines.values() for line in of if not keys <= line.keys()]
    # A monitor to which nothing happens says nothing.
    speaking = {deployment.namespace + name for name, of in lines.items() if of}
    assert speaking == {line["process"] for of in lines.values() for line in of}
    assert [] == [word for word in ("Zwetschgen", "Bearer", "eyJ") if word in text]
    requests = {line["route"]: line for line in lines["api"] if line["event"] == "request"}
    assert TRACE in requests["/v1/photos"]["traceparent"]
    assert {
        ("api", "request"),
        ("worker-1", "handled"),
        ("media-1", "ready"),
        ("media-1", "rendition task handled"),
        ("worker-1", "timelines written"),
    } <= way_of(requests["/v1/photos"]["event_id"], lines)
    assert {
        ("api", "request"),
        ("worker-1", "handled"),
        ("worker-1", "edges counted"),
        ("worker-1", "timelines written"),
    } <= way_of(requests["/v1/social/follow/{user_id}"]["event_id"], lines)
    [dead] = [line for line in lines["worker-1"] if line["event"] == "dead letter"]
    assert ("self_follow", "follows") == (dead["reason"], re.sub(r".*\.", "", dead["topic"]))
