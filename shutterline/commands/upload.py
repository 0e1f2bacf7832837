"""`shutterline upload`: photos through the HTTP API, with a bar that goes on where it was interrupted."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.ids import PhotoId, UserId
from shutterline.client.feed import ApiRefused, Json, TokenOf
from shutterline.client.upload import PhotoFile, upload_client
from shutterline.failures import CommandFailed, load_settings, require
from streams.settings import Settings

READY_S = 60.0


def upload(
    user: UserId,
    files: Sequence[Path],
    caption: str,
    *,
    tokens_for: Callable[[Settings], TokenOf],
    console: Console,
) -> None:
    """Upload the files one after the other, and wait until each is ready or rejected.

    Raises:
        CommandFailed: A file cannot be uploaded, or was rejected.
        StoreUnavailable: The API or the media bucket did not answer.
    """
    try:
        asyncio.run(_upload(user, files, caption, tokens_for, console))
    except ApiRefused as error:
        raise CommandFailed(str(error)) from error


async def _upload(
    user: UserId,
    files: Sequence[Path],
    caption: str,
    tokens_for: Callable[[Settings], TokenOf],
    console: Console,
) -> None:
    settings = load_settings()
    await require(settings, "api")
    try:
        photos = [PhotoFile.of(path, settings.upload_bytes_max) for path in files]
    except (OSError, ValueError) as error:
        raise CommandFailed(str(error)) from error

    def waiting(seconds: float) -> None:
        console.print(f"The API asks to wait {seconds:.0f} s: {settings.uploads_per_minute} uploads a minute")

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    seen: list[tuple[PhotoFile, PhotoId, Json]] = []
    async with upload_client(settings, tokens_for(settings), waiting=waiting) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            for file in photos:
                task = progress.add_task(file.path.name, total=file.size_bytes)
                photo = await client.upload(
                    user,
                    file,
                    caption,
                    lambda sent, task=task: progress.advance(task, sent),  # type: ignore[misc]
                )
                progress.update(task, description=f"{file.path.name}: making its thumbnail")
                seen.append((file, photo, await client.settled(user, photo, READY_S)))
    for each in seen:
        _show(*each, console)
    if rejected := [file.path.name for file, _, shown in seen if shown["status"] == "rejected"]:
        raise CommandFailed(f"Rejected: {', '.join(rejected)}. `shutterline inspect photo ID` has more.")


def _show(file: PhotoFile, photo: PhotoId, shown: Json, console: Console) -> None:
    status = shown["status"] + (f": {shown['reason']}" if shown["reason"] else "")
    console.print(f"{file.path.name}  photo {photo}  {status}", highlight=False, markup=False)
    for name, made in shown["renditions"].items():
        console.print(
            f"  {name} {made['width']} x {made['height']}  {made['url']}", soft_wrap=True, markup=False
        )
    if shown["status"] == "processing":
        console.print(
            f"  Not ready after {READY_S:.0f} s; is a media worker running? `shutterline status` shows it."
        )
