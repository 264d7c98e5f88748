"""The demonstration: what it shows of an image, in every form, and what its server refuses."""

import asyncio
import json
import re
import threading
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
from axe import grave_violations
from browsers import start_chromium
from PIL import Image

from seednb.cli.__main__ import main
from seednb.cli.demo.captioner import Captioner, Described, Sample, Word
from seednb.cli.demo.samples import named_images, validation_images
from seednb.cli.demo.server import Demo, Refused, read_upload
from seednb.cli.demo.sheet import draw_sheet
from seednb.cli.demo.show import page_item, terminal_lines, write_files
from seednb.core.errors import SeedError
from seednb.experiments.experiment import Experiment

ROOT = Path(__file__).parents[2]
SMOKE = str(ROOT / "params/smoke.yaml")
HOSTILE = "<img src=x onerror=alert(1)>.png"


def png(size=(50, 80), colour="green", **more):
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG", **more)
    return buffer.getvalue()


def described(name="a.png", present=("cup",)):
    """An image as a model that invents a fork would describe it."""
    return Described(
        Sample(name, Image.new("RGB", (40, 30)), None if present is None else set(present)),
        {"base": "A cup and a fork.", "SEED": "A cup."},
        {"base": [("A ", ""), ("cup", "right"), (" and a ", ""), ("fork", "wrong"), (".", "")],
         "SEED": [("A ", ""), ("cup", "right"), (".", "")]},
        "A cup", [Word("and", 0.75, 0.2), Word(".", 0.2, 0.75)], True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert main(["train", "--params", SMOKE, "-p", f"runs_dir={runs}"]) == 0
    return Experiment.open(SMOKE, {"runs_dir": str(runs)})


@pytest.fixture(scope="module")
def captioner(lab):
    return Captioner(lab, lab.trained("v7"))


def test_the_base_caption_is_that_of_the_model_without_an_adapter(lab, captioner):
    from seednb.evaluation.evaluator import write_captions

    samples = validation_images(lab, 3)
    bundle = lab.bundle()
    rows = [{"image_id": n, "file_name": sample.name} for n, sample in enumerate(samples)]
    reader = lab.image_reader("val", bundle)
    alone = write_captions(bundle, rows, reader, lab.params.evaluation)
    shown = captioner.describe(samples)
    assert [each.captions["base"] for each in shown] == [record["caption"] for record in alone]


def test_candidates_continue_what_both_captions_share(captioner, lab):
    (each,) = captioner.describe(validation_images(lab, 1))
    assert all(text.startswith(each.so_far) for text in each.captions.values())
    assert all(0 <= share <= 1 for word in each.words for share in (word.base, word.seed))
    next_word = each.captions["base"].removeprefix(each.so_far).split()[0].strip(".,")
    assert not each.parted or next_word in [word.text for word in each.words]


def test_pieces_of_a_caption_are_marked_by_the_annotations_and_add_up(captioner):
    text = "The image shows a cup, two forks and a dog."
    pieces = captioner._segments(text, {"cup", "dog"})
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, kind in pieces if kind == "wrong"] == ["forks"]
    assert captioner._segments(text, None) == [(text, "")]


def test_in_a_pipe_invented_words_stand_between_stars_and_nothing_is_coloured():
    text = "\n".join(terminal_lines([described()]))
    assert "base: A cup and a *fork*." in text and "\033" not in text
    assert "SEED: A cup." in text
    assert "nothing is marked" in "\n".join(terminal_lines([described(present=None)]))


def test_page_and_sheet_are_written_and_escape_what_a_file_is_called(tmp_path):
    page, sheet = write_files([described(HOSTILE)], tmp_path, "adapter")
    html = page.read_text()
    assert HOSTILE not in html and "&lt;img src=x" in html
    assert '<mark class="wrong">fork' in html
    assert Image.open(sheet).format == "PNG"


def test_the_sheet_has_a_row_a_image_and_marks_invented_words():
    one, two = (draw_sheet([described()] * n) for n in (1, 2))
    assert two.height == 2 * one.height
    wrong = (168, 58, 20)
    colours = {colour for _, colour in one.getcolors(100_000)}
    assert wrong in colours
    honest = described()
    honest.segments["base"][3] = ("fork", "right")
    assert wrong not in {colour for _, colour in draw_sheet([honest]).getcolors(100_000)}


def test_a_folder_is_read_with_its_coco_annotations_and_damaged_files_are_named(lab, tmp_path):
    folder = lab.data.val.image_dir
    samples, problems = named_images(folder, lab, None, 2)
    assert len(samples) == 2 and not problems
    rows = {row["file_name"]: row["image_id"] for row in lab.data.to_caption}
    assert samples[0].present == lab.data.present[rows[samples[0].name]]
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png()[:40])
    (tmp_path / "objects.json").write_text(json.dumps({"a.png": ["cup"]}))
    samples, problems = named_images(tmp_path, lab, tmp_path / "objects.json", 9)
    assert [sample.present for sample in samples] == [{"cup"}]
    assert "b.png is damaged" in problems[0]
    (tmp_path / "none").mkdir()
    with pytest.raises(SeedError, match="holds no image"):
        named_images(tmp_path / "none", lab, None, 9)


def test_the_verb_prints_and_writes_and_says_where(lab, tmp_path, capsys):
    verb = [
        "demo",
        "--params",
        SMOKE,
        "-p",
        f"runs_dir={lab.runs.parent}",
        "--output",
        str(tmp_path),
    ]
    assert main(verb) == 0
    text = capsys.readouterr().out
    assert text.count("SEED:") == 3 and re.search(r"differ in \d+ of 12 images", text)
    assert str(tmp_path / "index.html") in text
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "captions.png"}


def test_an_upload_is_read_upright_and_loses_its_path():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    sample = read_upload(png((50, 80), exif=exif), r"C:\Users\me\..\cat.png")
    assert sample.image.size == (80, 50)
    assert sample.name == "cat.png" and sample.present is None
    assert read_upload(png(), "/home/me/").name == "me"
    assert len(read_upload(png(), "x" * 999 + "\u202e").name) == 60


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no whole image"),
        (b"GIF89a" + b"\0" * 99, "no whole image"),
        (png()[:60], "no whole image"),
        (b"\0" * 8_000_001, "the limit is 8 MB"),
        (png((8000, 5001)), "the limit is 40 million"),
    ],
)
def test_an_upload_that_is_no_image_or_too_large_is_refused(body, reason):
    with pytest.raises(Refused, match=reason):
        read_upload(body, "a.png")


@pytest.fixture(scope="module")
def address(captioner, lab):
    """A served demonstration on a free port, and the demonstration itself."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    demo = Demo(captioner, validation_images(lab, 2), "smoke", "train-v7")

    async def start():
        return demo.listen(0)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    yield f"http://127.0.0.1:{demo.port}/"
    loop.call_soon_threadsafe(server.stop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


def ask(address, data=None, **headers):
    """(status, text) of an answer."""
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def upload(body, filename):
    """Content type and body of a form with an image."""
    lines = [
        b"--B",
        f'Content-Disposition: form-data; name="image"; filename="{filename}"'.encode(),
        b"Content-Type: image/png", b"", body, b"--B--", b"",
    ]  # fmt: skip
    return {"Content-Type": "multipart/form-data; boundary=B"}, b"\r\n".join(lines)


def test_only_this_computer_under_its_own_name_is_answered(address):
    assert ask(address)[0] == 200
    assert ask(address, Host="example.org")[0] == 403
    assert ask(address, b"sample=x", Origin="http://example.org")[0] == 403
    with pytest.raises(SeedError, match="choose another with --port"):
        Demo.listen(Demo.__new__(Demo), int(address.split(":")[2][:-1]))


def test_an_upload_is_described_and_its_name_is_escaped(address):
    headers, body = upload(png(), HOSTILE)
    status, html = ask(address, body, **headers)
    assert status == 200
    assert HOSTILE not in html and "&lt;img src=x" in html
    assert "likeliest next words" in html


def test_what_is_refused_is_said_without_a_path(address):
    for body in (b"not an image", b""):
        headers, form = upload(body, "/etc/passwd")
        status, html = ask(address, form, **headers)
        assert status == 400 and 'role="alert"' in html
        assert "/etc" not in html and str(ROOT) not in html and "Traceback" not in html


def test_a_failure_of_the_model_shows_no_detail(address, captioner, monkeypatch):
    monkeypatch.setattr(captioner, "describe", lambda samples: 1 / 0)
    headers, form = upload(png(), "a.png")
    status, html = ask(address, form, **headers)
    assert status == 500 and "That did not work" in html
    assert "ZeroDivision" not in html and str(ROOT) not in html


@pytest.mark.browser
def test_a_image_is_uploaded_in_a_browser_and_both_captions_and_words_appear(
    address, lab, captioner
):
    file = lab.data.val.image_dir / lab.data.to_caption[0]["file_name"]
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    (expected,) = captioner.describe([Sample(file.name, Image.open(file).convert("RGB"))])
    driver = start_chromium("--window-size=1200,900")
    try:
        driver.get(address)
        assert grave_violations(driver) == []
        driver.find_element("id", "image").send_keys(str(file))
        driver.find_element("css selector", ".upload button").click()
        WebDriverWait(driver, 20).until(lambda d: d.find_elements("css selector", ".said"))
        said = [each.text for each in driver.find_elements("css selector", ".said")]
        assert said == list(expected.captions.values())
        words = driver.find_elements("css selector", ".words tbody th")
        assert [word.text for word in words] == [word.text for word in expected.words]
        assert grave_violations(driver) == []
        driver.find_element("css selector", ".samples button").send_keys(Keys.ENTER)
        WebDriverWait(driver, 20).until(lambda d: d.find_elements("css selector", "mark"))
        assert "in the image" in driver.find_element("css selector", ".shown figcaption").text
        for width in (390, 768):
            screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        driver.quit()


def test_the_item_of_a_page_holds_no_more_than_the_last_words():
    long = described()
    item = page_item(Described(**vars(long) | {"so_far": " ".join(map(str, range(30)))}))
    assert item["so_far"] == "… 22 23 24 25 26 27 28 29"
