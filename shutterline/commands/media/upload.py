"""`shutterline upload`: photos through the HTTP API, with a bar that continues where it was interrupted."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.ids import PhotoId, UserId
from schemas.printable import printable
from shutterline.arguments import User
from shutterline.client.feed import ApiRefused, Json
from shutterline.client.upload import PhotoFile, upload_client
from shutterline.failures import CommandFailed, load_settings, plain_failures, require
from shutterline.terminal import terminal
from shutterline.tokens import tokens_for

READY_S = 60.0


@plain_failures()
def upload(
    user: User,
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="JPEG, PNG or WebP.")
    ],
    caption: Annotated[str, typer.Option(help="The same for all of them.")] = "",
) -> None:
    """Upload the files one after the other, and wait until each is ready or rejected.

    Fails if a file cannot be uploaded, or was rejected.
    """
    try:
        asyncio.run(_upload(UserId(user), files, caption, terminal()))
    except ApiRefused as error:
        raise CommandFailed(str(error)) from error


async def _upload(user: UserId, files: Sequence[Path], caption: str, console: Console) -> None:
    settings = load_settings()
    await require(api=settings.api)
    try:
        photos = [PhotoFile.of(path, settings.upload_bytes_max) for path in files]
    except (OSError, ValueError) as error:
        raise CommandFailed(str(error)) from error

    def waiting(seconds: float) -> None:
        console.print(
            f"The API asks us to wait {seconds:.0f} s: {settings.uploads_per_minute} uploads a minute"
        )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    seen: list[tuple[PhotoFile, PhotoId, Json]] = []
    async with upload_client(settings, tokens_for(settings), waiting=waiting) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            for file in photos:
                task = progress.add_task(printable(file.path.name), total=file.size_bytes)
                photo = await client.upload(
                    user,
                    file,
                    caption,
                    lambda sent, task=task: progress.advance(task, sent),  # type: ignore[misc]
                )
                progress.update(task, description=f"{printable(file.path.name)}: making its thumbnail")
                seen.append((file, photo, await client.settled(user, photo, READY_S)))
    for file, photo, shown in seen:
        _show(file, photo, shown, console)
    if rejected := [file.path.name for file, _, shown in seen if shown["status"] == "rejected"]:
        raise CommandFailed(f"Rejected: {', '.join(rejected)}. `shutterline inspect photo ID` has more.")


def _show(file: PhotoFile, photo: PhotoId, shown: Json, console: Console) -> None:
    status = shown["status"] + (f": {shown['reason']}" if shown["reason"] else "")
    console.print(f"{file.path.name}  photo {photo}  {status}")
    for name, rendition in shown["renditions"].items():
        console.print(
            f"  {name} {rendition['width']} x {rendition['height']}  {rendition['url']}",
            soft_wrap=True,
        )
    if shown["status"] == "processing":
        console.print(
            f"  Not ready after {READY_S:.0f} s; is a media worker running? `shutterline status` shows it."
        )
