"""Make README's two images anew from a finished report: python docs/make_images.py

Needs Chromium, chromedriver and the test extra. `--report FILE` takes another report than
reports/pocket/index.html; the images go to docs/images/.
"""

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver

HERE = Path(__file__).parent
COLOURS = 256  # a palette makes the files a third as large
FIRST_SCREEN = (1440, 900)  # pixels
EXPLORER = "[id^=seednb-explorer]"


def main() -> None:
    """Open the report and take both images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--report", type=Path, default=HERE.parent / "reports/pocket/index.html")
    parser.add_argument("--output", type=Path, default=HERE / "images")
    options = parser.parse_args()
    if not options.report.is_file():
        raise SystemExit(f"{options.report} does not exist; run: seednb report")
    browser = open_browser()
    try:
        browser.get(options.report.resolve().as_uri())
        save(browser.get_screenshot_as_png(), options.output / "report-first-screen.png")
        explorer = browser.find_element("css selector", EXPLORER)
        browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", explorer)
        save(explorer.screenshot_as_png, options.output / "beta-explorer.png")
    finally:
        browser.quit()


def open_browser() -> Any:
    """Chromium without a window, of the first screen's size, in the light theme."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(switch)
    driver = shutil.which("chromedriver")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    width, height = FIRST_SCREEN
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    return browser


def save(png: bytes, file: Path) -> None:
    """Write an image with a palette."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    print(file)


if __name__ == "__main__":
    main()
