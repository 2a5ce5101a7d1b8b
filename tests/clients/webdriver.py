"""A browser, driven by W3C WebDriver as chromedriver speaks it: JSON over HTTP, so nothing has to be installed for it.

And a web server for the pages that the browser opens, which is thereby of another origin than any store.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.clients.programs import find_program
from tests.fix_process import free_port

READY_SECONDS = 20.0
SCRIPT_MILLISECONDS = 15_000


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    @property
    def url(self) -> str:
        return str(_ask("GET", f"{self._session}/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of an async function returns; `arguments` are its parameter `given`."""
        wrapped = (
            "const done = arguments[arguments.length - 1]; const given = Array.from(arguments).slice(0, -1);"
            f"(async () => {{ {script} }})().then(done, error => done('error: ' + error));"
        )
        return self._post("execute/async", {"script": wrapped, "args": list(arguments)})

    def wait_for(self, part_of_url: str) -> str:
        """The address, once it contains this."""
        deadline = time.monotonic() + READY_SECONDS
        while part_of_url not in self.url:
            assert time.monotonic() < deadline, f"still at {self.url}"
            time.sleep(0.05)
        return self.url

    def text(self) -> str:
        """What the page shows."""
        return str(self.run("return document.body.innerText"))

    def screenshot(self) -> bytes:
        return b64decode(_ask("GET", f"{self._session}/screenshot"))

    def _post(self, command: str, body: Any) -> Any:
        return _ask("POST", f"{self._session}/{command}", body)


@contextmanager
def chromium(home: Path, *arguments: str) -> Iterator[Browser]:
    """A headless Chromium with a profile of its own."""
    program, driver = find_program("chromium"), find_program("chromedriver")
    port = free_port()
    log = (home / "chromedriver.log").open("wb")
    process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log, cwd=home)
    try:
        _wait_ready(f"http://127.0.0.1:{port}/status")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        wanted = {"binary": program, "args": [*options, f"--user-data-dir={home / 'profile'}", *arguments]}
        capabilities = {"goog:chromeOptions": wanted, "timeouts": {"script": SCRIPT_MILLISECONDS}}
        made = _ask("POST", f"http://127.0.0.1:{port}/session", {"capabilities": {"alwaysMatch": capabilities}})
        session = f"http://127.0.0.1:{port}/session/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _ask("DELETE", session)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@contextmanager
def page_server(pages: dict[str, str]) -> Iterator[str]:
    """Serves the pages by path; yields the origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _ask(method: str, url: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if method == "POST" else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if _ask("GET", url)["ready"]:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "chromedriver does not answer"
        time.sleep(0.05)
