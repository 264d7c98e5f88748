"""Notebook 03 in a real JupyterLab with the real pocket model: every control moves the drawing."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from browsers import start_chromium

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
START_S, RUN_S, MOVE_S = 40, 90, 10  # a cold start of JupyterLab takes about 8 s, the cells 20
BARS = (
    "return [...document.querySelectorAll('.sw-chart .sw-purified rect')]"
    ".map(bar => bar.getAttribute('width')).join(' ')"
)


# Change a control, then look at every frame of the screen until what is read has changed and, for
# the caption, until it is no longer being decoded.
CHANGE = """
const [label, step, read, done] = arguments;
const box = [...document.querySelectorAll('.sw-card .widget-inline-hbox')].find(
  (each) => [...each.querySelectorAll('label')].some((name) => name.textContent.trim() === label));
const drawn = () => [...document.querySelectorAll(read)].map((each) => each.outerHTML).join('');
const before = drawn(), start = performance.now();
const handle = box.querySelector('.noUi-handle'), select = box.querySelector('select');
if (handle) handle.dispatchEvent(new KeyboardEvent('keydown', { key: step < 0 ? 'ArrowLeft' : 'ArrowRight' }));
else if (select) { select.selectedIndex += step; select.dispatchEvent(new Event('change', { bubbles: true })); }
else box.querySelector('input').click();
const waits = () => read.includes('sw-captions') && document.querySelector('.sw-spinner');
const look = () => drawn() === before || waits() ? requestAnimationFrame(look) : done(performance.now() - start);
look();
"""
CHART, CAPTION = ".sw-chart, .sw-reading", ".sw-captions"


@pytest.fixture
def notebook(tmp_path):
    """Notebook 03 on the smoke profile, with everything that it writes below a temporary folder."""
    source = nbformat.read(ROOT / "notebooks" / "03_purification.ipynb", as_version=4)
    source.cells[1].source = "\n".join(
        [
            f"params_file = {str(ROOT / 'params' / 'smoke.yaml')!r}",
            f"runs_dir = {str(tmp_path / 'runs')!r}",
            f"output_dir = {str(tmp_path / 'output')!r}",
            "n_history = 32",
        ]
    )
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(source, folder / "03.ipynb")
    return folder / "03.ipynb"


@pytest.fixture
def address(notebook, tmp_path):
    """The notebook's address in a JupyterLab of its own on the loopback interface."""
    jupyter_lab = Path(sys.executable).parent / "jupyter-lab"
    if not jupyter_lab.is_file():
        pytest.skip("JupyterLab is not installed; pip install -e '.[notebooks,test]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    switches = {
        "ip": "127.0.0.1",
        "port": port,
        "ServerApp.port_retries": 0,
        "IdentityProvider.token": token,
        "ServerApp.root_dir": notebook.parent,
        "LabApp.expose_app_in_browser": True,  # window.jupyterapp: run commands without menus
        "LabApp.news_url": "",
        "LabApp.extension_manager": "readonly",
    }
    command = [str(jupyter_lab), "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in switches.items()]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = os.environ | {name: str(tmp_path / name) for name in folders}
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}").close()
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={token}&reset"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def driver():
    """Chromium without a window; the test is skipped where it is not installed."""
    browser = start_chromium("--window-size=1440,1600")
    yield browser
    browser.quit()


def test_every_control_of_notebook_03_moves_the_drawing_in_jupyterlab(
    driver, address, record_property
):
    from selenium.webdriver.support.ui import WebDriverWait

    def until(seconds, script):
        return WebDriverWait(driver, seconds).until(lambda d: d.execute_script(script))

    def change(label, step, read=CHART):
        """Milliseconds until what is read has changed."""
        took = driver.execute_async_script(CHANGE, label, step, read)
        record_property(f"{label} {read} ms", round(took))
        return took

    driver.set_script_timeout(RUN_S)
    driver.get(address)
    until(
        START_S,
        "const shown = window.jupyterapp?.shell.currentWidget;"
        "return shown?.context?.isReady && document.querySelector('.jp-Notebook .jp-Cell')"
        " && shown.sessionContext.session?.kernel?.status === 'idle'",
    )
    driver.execute_async_script(
        "const done = arguments[0];"
        "jupyterapp.commands.execute('notebook:run-all-cells').then(() => done(), () => done())"
    )
    until(RUN_S, BARS)
    assert not driver.find_elements("css selector", "[id^=seednb-explorer]"), "the static face won"
    assert not driver.find_elements("css selector", ".jp-RenderedText[data-mime-type*=error]")

    until(MOVE_S, "return document.querySelector('[data-again]')")
    change("Beta", -1)
    chosen = "[...document.querySelectorAll('.sw-card select')].map(s => s.selectedOptions[0].text)"
    until(MOVE_S, f"return {chosen}.includes('by\\u00a0hand')")
    until(MOVE_S, "return document.querySelector('[data-again]')")
    for label, step in (("Alpha", 1), ("Temperature", 1), ("Word", 1), ("Plausible only", 1)):
        change(label, step)
        until(MOVE_S, "return document.querySelector('[data-again]')")
    noisy = "document.querySelector('[data-noisy]').src"
    before = driver.execute_script(f"return {noisy}")
    change("Image", 7)
    until(MOVE_S, f"return {noisy} !== '{before}'")
    assert driver.execute_script(f"return {noisy}") != before
    until(MOVE_S, "return document.querySelector('[data-again]')")
    assert change("Beta", 1, CAPTION) < 1000 * MOVE_S
