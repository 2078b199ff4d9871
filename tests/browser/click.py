"""Clicks through the page of running nodes in headless Chromium, as a person does with keyboard and mouse, and compares it with what the node says to programs.

    click.py SHOTS NAME=ADDRESS...      ADDRESS is where a node is shown over HTTP

Of each page: what it says without waiting is there, and each fact of `/v1/replication` stands in it, can be seen, and lies within the picture that is taken of it, light
and dark. The link that leads past the heading is the first that the keyboard meets, and leads there. The button pauses, and goes on. Each link for programs is
clicked, and leads where it says. Nothing of it makes the browser complain. The pictures are SHOTS/NAME-light.png and SHOTS/NAME-dark.png.

The browser is driven over its own pipe, so this needs nothing beside it. What does not come fails, by a bound on how long the pipe may be silent.
"""

import base64
import http.client
import json
import os
import select
import struct
import subprocess
import sys
import tempfile

SILENCE_SECONDS = 60
LOOKS_MAX = 2000


class Browser:
    """Chromium, over a pipe of messages that end with a zero byte."""

    def __init__(self, directory):
        commands, self.commands = os.pipe()
        self.events, events = os.pipe()

        def inherit():
            # It reads from 3 and writes to 4, which may be ends of these pipes already.
            reads, writes = os.dup(commands), os.dup(events)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            ["chromium", *flags, f"--user-data-dir={directory}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=inherit,
        )
        os.close(commands)
        os.close(events)
        self.received, self.number, self.session, self.complaints = b"", 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log"]:
            self.ask(f"{domain}.enable")
        size = {"width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)

    def message(self):
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.events], [], [], SILENCE_SECONDS)
            assert ready, "the browser says nothing any more"
            more = os.read(self.events, 1 << 20)
            assert more, "the browser has ended"
            self.received += more
        message, self.received = self.received.split(b"\0", 1)
        message = json.loads(message)
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"]["text"])
        if message.get("method") == "Log.entryAdded":
            entry = told["entry"]
            # A probe that says no is an answer, and so is that there is no icon.
            if entry["level"] in ("warning", "error") and entry["source"] != "network":
                self.complaints.append(entry["text"])
        return message

    def ask(self, method, **parameters):
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.commands, json.dumps(asked).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message}"
                return message["result"]

    def value(self, expression):
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, f"{expression}: {told}"
        return told["result"].get("value")

    def until(self, expression, what):
        for _ in range(LOOKS_MAX):
            # Between two pages there is nothing to ask.
            try:
                if self.value(expression):
                    return
            except AssertionError as error:
                if "Cannot find default execution context" not in str(error) and "navigated" not in str(error):
                    raise
        raise AssertionError(f"it did not come: {what}")

    def go(self, url):
        self.ask("Page.navigate", url=url)
        self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'", url)

    def press(self, key, code):
        for kind in ["keyDown", "keyUp"]:
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def click(self, element):
        """Clicks the middle of an element, which must be what is there."""
        at = self.value(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); const r = e.getClientRects()[0];"
            " const [x, y] = [r.left + r.width / 2, r.top + r.height / 2];"
            " return [x, y, e.contains(document.elementFromPoint(x, y))]; })()"
        )
        assert at[2], f"{element} is covered by something"
        for kind in ["mousePressed", "mouseReleased"]:
            self.ask("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def picture(self, path, scheme):
        """Of the whole page; its size."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[feature])
        whole = {**self.ask("Page.getLayoutMetrics")["cssContentSize"], "scale": 1}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=whole)
        picture = base64.b64decode(shot["data"])
        assert picture.startswith(b"\x89PNG\r\n\x1a\n") and len(picture) > 10_000, f"{path} shows nothing"
        with open(path, "wb") as file:
            file.write(picture)
        return picture, struct.unpack(">II", picture[16:24])

    def end(self):
        self.session = None
        self.ask("Browser.close")
        self.process.wait(SILENCE_SECONDS)


def asked(address, path):
    connection = http.client.HTTPConnection(address, timeout=SILENCE_SECONDS)
    connection.request("GET", path)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def grouped(number):
    return f"{number:,}" if number >= 10_000 else str(number)


def facts(address):
    """What the page must say, as the node says it to programs."""
    told = json.loads(asked(address, "/v1/replication"))["data"]
    reads, replica = told["reads"], told.get("replica")
    words = ["What to do now", "What it holds", told["role"]]
    for rule in reads["rules"]:
        words += [rule["id"], rule["evaluation"]]
    if reads["refusal"]:
        words += [reads["refusal"]["code"], "reads are refused"]
    else:
        words += [f"Reads are answered at commit {grouped(told['commit'])}.", "reads are answered"]
    if replica:
        words += [replica["primary"], replica["state"]["state"]]
        words += [replica[component]["state"] for component in ["receiver", "validator", "applier"]]
        words += [grouped(replica[stage]["position"]) for stage in ["validated", "applied"]] + [grouped(replica["received"])]
        words += [replica["state"]["cause"]]
        if replica["halt"]:
            words += [replica["halt"]["name"], replica["halt"]["code"], "aerodb resume"]
        if told["behind"]["received_bytes"]:
            words += [f"{grouped(told['behind']['received_bytes'])} bytes behind"]
    return words


# What is shown of a text, and where the text that holds a fact ends.
SHOWN = "document.body.innerText.replace(/\\s+/g, ' ')"
PLACES = """((facts) => { const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); const ends = {};
    for (let node; (node = walk.nextNode());) for (const fact of facts) if (node.data.includes(fact)) {
        const range = document.createRange(); range.selectNodeContents(node); const rect = range.getBoundingClientRect();
        if (rect.width > 0 && rect.height > 0) ends[fact] = [rect.right + scrollX, rect.bottom + scrollY]; }
    return ends; })"""


def click_through(browser, shots, name, address):
    url = f"http://{address}/"
    browser.go(url)
    browser.until("document.documentElement.dataset.refreshed === 'yes'", "a refresh")

    browser.press("Tab", 9)
    assert browser.value("document.activeElement.className") == "skip", "the keyboard meets the link past the heading first"
    browser.press("Enter", 13)
    browser.until("document.activeElement.id === 'main'", "the focus on what the node says")

    # The page stands still while it is compared.
    pause = "document.getElementById('pause')"
    browser.click(pause)
    browser.until(f"{pause}.textContent === 'Go on' && {SHOWN}.includes('Paused: ')", "the pause")
    wanted = facts(address)
    shown = browser.value(SHOWN)
    missing = [fact for fact in wanted if fact.lower() not in shown.lower()]
    assert not missing, f"{name} does not show {missing}: {shown}"
    light, (width, height) = browser.picture(f"{shots}/{name}-light.png", "light")
    dark, size = browser.picture(f"{shots}/{name}-dark.png", "dark")
    assert light != dark and size == (width, height), f"light and dark are one page in two colours: {size}, {width, height}"
    places = browser.value(f"{PLACES}({json.dumps(wanted)})")
    assert len(places) >= 12, f"{name}: only {sorted(places)} stand somewhere as a whole"
    outside = {fact: place for fact, place in places.items() if place[0] > width or place[1] > height}
    assert not outside, f"{name}: not in the picture of {width} by {height}: {outside}"

    browser.click(pause)
    browser.until(f"{pause}.textContent === 'Pause' && !{SHOWN}.includes('Paused: ')", "the end of the pause")
    links = browser.value("document.querySelectorAll('footer a').length")
    assert links >= 10, f"{links} links for programs"
    for number in range(links):
        link = f"document.querySelectorAll('footer a')[{number}]"
        target = browser.value(f"{link}.href")
        browser.click(link)
        browser.until(f"location.href === {json.dumps(target)} && document.readyState === 'complete'", target)
        assert len(browser.value("document.body.innerText")) > 20, f"{target} says nothing"
        browser.go(url)
    assert not browser.complaints, f"{name}: {browser.complaints}"
    print(f"ok: {name}: {len(wanted)} facts, {links} links", flush=True)


shots = sys.argv[1]
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
    browser = Browser(directory)
    try:
        for node in sys.argv[2:]:
            click_through(browser, shots, *node.split("=", 1))
        browser.end()
    finally:
        browser.process.kill()
        browser.process.wait()
