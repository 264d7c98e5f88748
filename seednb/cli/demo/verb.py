"""The verb `demo`: its options, and what it prints."""

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any

from seednb.cli.options import Parser

N_SAMPLES = 6  # validation images on the served page
N_LOOKED_AT, N_SHOWN = 12, 3  # validation images to choose from, and those in the terminal


def add_demo_options(verb: Parser) -> None:
    """Options beside those of the profile."""
    verb.add_argument("--model", type=Path, help="adapter folder (default: the profile's v7)")
    verb.add_argument("--image", type=Path, help="an image, or a folder of images (default: three of the validation set, those first on which the models differ)")  # fmt: skip
    verb.add_argument("--objects", type=Path, help="JSON, file name -> objects in it, to mark hallucinations (default: COCO annotations beside the folder)")  # fmt: skip
    verb.add_argument("-n", type=int, default=12, metavar="N", help="images of a folder")
    verb.add_argument("--output", type=Path, help="folder of the page and the image (default: reports/PROFILE/demo)")  # fmt: skip
    verb.add_argument("--serve", action="store_true", help="a page, for this computer only, to upload images to")  # fmt: skip
    verb.add_argument("--port", type=int, default=8765, help="of --serve")


def run_demo(options: argparse.Namespace, lab: Any) -> None:
    """Describe images, or serve the page until it is interrupted."""
    from seednb.cli.demo.captioner import Captioner
    from seednb.cli.demo.server import Demo, serve
    from seednb.cli.demo.show import terminal_lines, write_files
    from seednb.cli.demo.sources import find_adapter, named_images, validation_images

    adapter = find_adapter(lab, options.model)
    captioner = Captioner(lab, adapter)
    if options.serve:
        samples = validation_images(lab, N_SAMPLES)
        page = Demo(captioner, samples, lab.params.run.profile, adapter.parent.name)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(page, options.port))
        return
    problems: list[str] = []
    if options.image:
        samples, problems = named_images(options.image, lab, options.objects, options.n)
        described = captioner.describe(samples)
    else:
        every = captioner.describe(validation_images(lab, N_LOOKED_AT))
        described = sorted(every, key=lambda each: not each.parted)[:N_SHOWN]
        n_parted = sum(each.parted for each in every)
        problems = [f"The captions differ in {n_parted} of {len(every)} images; those come first."]
    for line in (*terminal_lines(described), *problems):
        print(line)
    reports = lab.params.path(lab.params.run.reports_dir) / lab.params.run.profile
    page_file, sheet = write_files(
        described, options.output or reports / "demo", adapter.parent.name
    )
    print(f"page: {page_file}\nimage: {sheet}")
