"""Headless Chromium, driven by its own protocol: opens pages, listens for errors, takes screenshots."""

import base64
import json
import re
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

from websocket import WebSocket, create_connection

NAMES = ("chromium", "chromium-browser", "google-chrome")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 60  # seconds for one answer


class Browser:
    """One window of a Chromium that has no network but this machine's."""

    def __init__(self, profile: Path) -> None:
        # the resolver knows no names: whatever asks for another host fails, and its failure is an error of the page
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio"]
        options += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"]
        self.log = (profile.parent / "chromium.log").open("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([str(EXECUTABLE), *options, "about:blank"], stderr=self.log)
        self.socket = self._connect()
        self.numbers, self.events = count(1), []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _connect(self) -> WebSocket:
        while self.process.poll() is None:
            self.log.seek(0)
            if found := re.search(r"DevTools listening on (ws://\S+)\n", self.log.read()):
                return create_connection(found.group(1), timeout=PATIENCE)
        self.log.seek(0)
        raise RuntimeError(f"Chromium did not start: {self.log.read()}")

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that arrive in between are kept."""
        number = next(self.numbers)
        session = {"sessionId": self.session} if hasattr(self, "session") else {}
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters, **session}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of what it promises."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def show(self, width: int, height: int, theme: str) -> None:
        """What the window is like: its size in pixels, and "light" or "dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, address: str) -> list[str]:
        """Load a page with its formulas; returns the errors of its console and of its requests."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv()))
        self.evaluate("window.MathJax?.startup?.promise?.then(() => true)")
        return list(filter(None, map(_error, self.events)))

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = self.call("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        path.write_bytes(base64.b64decode(shot["data"]))


def _error(event: dict[str, Any]) -> str:
    """What an event says went wrong, or nothing."""
    of = event["params"]
    match event["method"]:
        case "Runtime.exceptionThrown":
            return str(of["exceptionDetails"].get("exception", of["exceptionDetails"]).get("description"))
        case "Runtime.consoleAPICalled" if of["type"] in ("error", "assert"):
            return " ".join(str(part.get("value")) for part in of["args"])
        case "Log.entryAdded" if of["entry"]["level"] == "error":
            return f"{of['entry']['text']} {of['entry'].get('url', '')}"
        case "Network.loadingFailed" if not of.get("canceled"):
            return f"a request failed: {of['errorText']}"
    return ""
