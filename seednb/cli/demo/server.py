"""A local page for trying one's own image: on the loopback interface only, nothing is kept."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from PIL import Image, ImageOps
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from seednb.cli.demo.captioner import Captioner, Described, Sample
from seednb.cli.demo.show import image_address, page_item
from seednb.core.errors import SeedError
from seednb.data.images import UNREADABLE
from seednb.report.html.page import render_page

HOST = "127.0.0.1"
LIMIT_MB, LIMIT_PIXELS = 8, 40_000_000
KINDS = ("JPEG", "PNG", "WEBP", "BMP")
NAME_LENGTH = 60  # characters of a file name that are shown
SAMPLE_SIDE = 160  # pixels
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make a browser post without an origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(Exception):
    """An upload that is not described; its message is for the person who sent it."""


def read_upload(body: bytes, filename: str) -> Sample:
    """An image from an upload. Raises Refused with the reason, which never holds a path."""
    if len(body) > LIMIT_MB * 1_000_000:
        raise Refused(f"That file has {len(body) / 1e6:.1f} MB; the limit is {LIMIT_MB} MB.")
    try:
        with Image.open(BytesIO(body), formats=KINDS) as image:
            if image.width * image.height > LIMIT_PIXELS:
                raise Refused(
                    f"That image has {image.width} × {image.height} pixels; the limit is "
                    f"{LIMIT_PIXELS / 1e6:.0f} million. Make it smaller first."
                )
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except UNREADABLE:
        raise Refused(f"That is no whole image of these kinds: {', '.join(KINDS)}.") from None
    return Sample(_shown_name(filename), upright)


def _shown_name(filename: str) -> str:
    """The last part of what a browser calls the file, printable and short."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    printable = "".join(character for character in name if character.isprintable())
    return printable[:NAME_LENGTH] or "your image"


class Describe(RequestHandler):
    """The one address: a form (GET) and the description of what was sent with it (POST)."""

    def initialize(self, demo: "Demo") -> None:
        """`demo`: the model and what the page says about it."""
        self.demo = demo

    def set_default_headers(self) -> None:
        """No cache, no guessing of types, no name of the server."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse other sites: a page elsewhere may neither post here nor read this one by a name."""
        here = {f"{name}:{self.demo.port}" for name in (HOST, "localhost")}
        origin = self.request.headers.get("Origin")
        own = {f"http://{name}" for name in here}
        if self.request.host not in here or (origin is not None and origin not in own):
            raise HTTPError(403)

    def get(self) -> None:
        """The form."""
        self.finish(self.demo.page())

    async def post(self) -> None:
        """Both captions of an upload, or of a sample."""
        try:
            sample = self._sent()
        except Refused as problem:
            self.set_status(400)
            self.finish(self.demo.page(problem=str(problem)))
            return
        self.finish(self.demo.page(described=await self.demo.describe(sample)))

    def _sent(self) -> Sample:
        sample = self.get_body_argument("sample", "")
        if sample in self.demo.samples:
            return self.demo.samples[sample]
        files = self.request.files.get("image")
        if not files or not files[0]["body"]:
            raise Refused("No image arrived. Choose one, then press the button.")
        return read_upload(files[0]["body"], files[0]["filename"])

    def write_error(self, status_code: int, **details: Any) -> None:
        """One sentence; what happened stands in the terminal, never on the page."""
        self.finish(self.demo.page(problem=f"That did not work (error {status_code})."))


class Demo:
    """The model behind the page. One image at a time: a second visitor waits."""

    def __init__(
        self, captioner: Captioner, samples: Sequence[Sample], profile: str, adapter: str
    ) -> None:
        """`samples`: images to try without having one; `adapter`: what the page calls it."""
        self.captioner, self.profile, self.adapter = captioner, profile, adapter
        self.samples = {sample.name: sample for sample in samples}
        self.thumbnails = [(s.name, image_address(s.image, SAMPLE_SIDE)) for s in samples]
        self.port = 0
        self._worker = ThreadPoolExecutor(1)

    async def describe(self, sample: Sample) -> Described:
        """Off the event loop, so that the page stays responsive."""
        loop = asyncio.get_running_loop()
        (described,) = await loop.run_in_executor(self._worker, self.captioner.describe, [sample])
        return described

    def page(self, described: Described | None = None, problem: str = "") -> str:
        """The page as it is sent."""
        return render_page(
            "serve.html.j2",
            form_action="'self'",
            item=page_item(described) if described else None,
            problem=problem,
            samples=self.thumbnails,
            limit_mb=LIMIT_MB,
            profile=self.profile,
            adapter=self.adapter,
        )

    def listen(self, port: int) -> HTTPServer:
        """Serve on the loopback interface; port 0 takes a free one. SeedError if it is taken."""
        try:
            sockets = bind_sockets(port, HOST)
        except OSError as error:
            raise SeedError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None
        self.port = sockets[0].getsockname()[1]
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        application = Application([(r"/", Describe, {"demo": self})])
        server = HTTPServer(application, max_buffer_size=4 * LIMIT_MB * 1_000_000)
        server.add_sockets(sockets)
        return server


async def serve(demo: Demo, port: int) -> None:
    """Serve until interrupted."""
    server = demo.listen(port)
    address = f"http://{HOST}:{demo.port}/"
    print(f"{address}   (Ctrl+C ends it; only this computer can reach it)", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
