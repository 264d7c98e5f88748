"""`seednb demo`: base and SEED captions of images, in the terminal, as page and image, or served."""

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any

from seednb.cli.options import add_profile, add_verb, open_experiment

EXAMPLES = """
seednb demo
seednb demo --image photo.jpg --model runs/pocket/train-v7-replay-…/adapter
seednb demo --serve      (a local page for your own images)
"""
N_SAMPLES = 6  # validation images on the served page
N_DESCRIBED, N_SHOWN = 12, 3  # validation images to choose from, and those in the terminal


def add(verbs: Any) -> None:
    """Add the verb and its options."""
    verb = add_verb(verbs, "demo", demo, "base and SEED side by side", EXAMPLES)
    add_profile(verb)
    verb.add_argument("--model", type=Path, help="adapter folder (default: the profile's v7)")
    verb.add_argument("--image", type=Path, help="an image, or a folder of images (default: three of the validation set, those first on which the models differ)")  # fmt: skip
    verb.add_argument("--objects", type=Path, help="JSON, file name -> objects in it, to mark hallucinations (default: COCO annotations beside the folder)")  # fmt: skip
    verb.add_argument("-n", type=int, default=12, metavar="N", help="images of a folder")
    verb.add_argument("--output", type=Path, help="folder of the page and the image (default: reports/PROFILE/demo)")  # fmt: skip
    verb.add_argument("--serve", action="store_true", help="a page, for this computer only, to upload images to")  # fmt: skip
    verb.add_argument("--port", type=int, default=8765, help="of --serve")


def demo(options: argparse.Namespace) -> None:
    """Describe images, or serve the page until it is interrupted."""
    from seednb.cli.demo.captioner import Captioner
    from seednb.cli.demo.samples import find_adapter, named_images, validation_images
    from seednb.cli.demo.server import Demo, serve
    from seednb.cli.demo.show import terminal_lines, write_files

    lab = open_experiment(options)
    adapter = find_adapter(lab, options.model)
    captioner = Captioner(lab, adapter)
    if options.serve:
        samples = validation_images(lab, N_SAMPLES)
        served = Demo(captioner, samples, lab.params.run.profile, adapter.parent.name)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(served, options.port))
        return
    problems: list[str] = []
    if options.image:
        samples, problems = named_images(options.image, lab, options.objects, options.n)
        described = captioner.describe(samples)
    else:
        every = captioner.describe(validation_images(lab, N_DESCRIBED))
        described = sorted(every, key=lambda each: not each.parted)[:N_SHOWN]
        n_parted = sum(each.parted for each in every)
        problems = [f"The captions differ in {n_parted} of {len(every)} images; those come first."]
    for line in (*terminal_lines(described), *problems):
        print(line)
    reports = lab.params.path(lab.params.run.reports_dir) / lab.params.run.profile
    folder = options.output or reports / "demo"
    page, sheet = write_files(described, folder, adapter.parent.name)
    print(f"page: {page}\nimage: {sheet}")
