#!/usr/bin/env python3
"""Drives the web page in headless Chromium. Needs python3 and chromium, nothing else.

  page_test.py [--base-url URL [--key KEY]] [--screenshots FOLDER] [--only NAME]

Without --base-url it starts fake_server.py, whose answers are known, and runs everything; with it, what holds for any
model: an answer comes and can be stopped and made again, figures, settings, widths, no errors, no strange requests.
Exit status: 0, 1 where a check failed, 77 where there is no Chromium.
"""
import argparse
import json
import pathlib
import sys
import time
import traceback
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import devtools  # noqa: E402
import fake_server  # noqa: E402

BUSY = "document.body.classList.contains('busy')"
LAST = "[...document.querySelectorAll('.answer')].at(-1)"


class Page:
    def __init__(self, browser, url, folder, fake, key):
        self.browser, self.url, self.folder, self.fake, self.key = browser, url, folder, fake, key
        self.allowed_errors = []  # parts of console messages that a test provokes

    def __getattr__(self, name):
        return getattr(self.browser, name)

    def fresh(self):
        """The page as a stranger sees it."""
        self.open("about:blank")  # the page saves what it has when it is left
        self.call("Storage.clearDataForOrigin", origin=self.url.rstrip("/"), storageTypes="local_storage")
        self.open(self.url + "?" + str(time.monotonic_ns()))
        self.evaluate("sessionStorage.clear()")
        if self.key:
            self.evaluate(f"sessionStorage.setItem('qiao.key', {json.dumps(json.dumps(self.key))})")
            self.open(self.url + "?with-key")
        self.wait("document.querySelector('#welcome-facts div')", "the figures came")

    def ask(self, text, wait=True):
        self.evaluate("document.querySelector('#prompt').focus()")
        self.type(text)
        self.press("Enter", 13, text="\r")
        self.wait(f"[...document.querySelectorAll('.said')].at(-1)?.textContent === {json.dumps(text)}", "the question")
        if wait:
            self.wait(f"!{BUSY}", f"the answer to {text!r}", 120)

    def text(self, selector=".text"):
        return self.evaluate(f"{LAST}?.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def shot(self, name):
        if self.folder:
            self.evaluate("new Promise(done => setTimeout(done, 250))")
            self.screenshot(self.folder / f"{name}.png")

    def seen(self):
        with urllib.request.urlopen(self.url + "fake/seen", timeout=10) as response:
            return json.load(response)


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r}, not {wanted!r}")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


# ---- with any server ----

def test_answer_stop_again(page):
    page.ask("Hello")
    first = page.text()
    check(first.strip() != "", "the answer is empty")
    equal(page.count(".question"), 1, "questions")
    equal(page.count(".answer"), 1, "answers")
    check(page.evaluate(f"{LAST}.getAttribute('aria-busy')") == "false", "the answer is still busy")
    check("token" in page.text(".cost"), f"the line under the answer says {page.text('.cost')!r}")

    page.click(".again")
    page.wait(f"!{BUSY}", "the answer made again", 120)
    equal(page.count(".answer"), 1, "answers after Regenerate")
    check(page.text().strip() != "", "the answer made again is empty")

    # Stopped by Esc, what has come stays.
    page.ask("Please write a long text" if page.fake else "Once upon a time", wait=False)
    page.wait(f"{LAST}.querySelector('.text').innerText.length > 10 || !{BUSY}", "the begin of an answer", 60)
    page.press("Escape", 27)
    page.wait(f"!{BUSY}", "the end after Esc")
    if page.fake:
        page.wait(f"{LAST}.querySelector('.end').innerText === 'Stopped by you'", "the mark of a stopped answer")
        kept = page.text()
        check(10 < len(kept) < 8000, f"{len(kept)} characters were kept")
        page.evaluate("new Promise(done => setTimeout(done, 200))")
        equal(page.text(), kept, "the text some time after the stop")


def test_efficiency_and_live(page):
    page.ask("Hello")
    equal(page.count("#efficiency .saving"), 5, "parts of the efficiency panel")
    for name in ("mla", "experts", "fp8"):
        text = page.evaluate(f"document.querySelector('.saving[data-id={name}]').innerText")
        check(("instead of" in text and any(c.isdigit() for c in text)) or "Not used: " in text, f"{name}: {text!r}")
    for text in page.evaluate("[...document.querySelectorAll('.unused')].map(e => e.innerText)"):
        check(len(text.split("Not used: ")[1]) > 10, f"no reason in {text!r}")
    if page.fake:
        mla = page.evaluate("document.querySelector('.saving[data-id=mla]').innerText")
        check("8.9\u00d7" in mla and "B instead of" in mla, f"MLA: {mla!r}")
        width = page.evaluate("document.querySelector('.saving[data-id=mla] .with .fill').getAttribute('width')")
        check(11 < float(width) < 11.5, f"the bar is {width} wide")
        equal(page.evaluate("document.querySelector('.saving[data-id=mtp]').innerText.includes('no layer that guesses')"), True,
              "the reason for no MTP")
    page.wait("/\\d/.test(document.querySelector('#live .tile:nth-child(3)').innerText)", "figures of the cache")
    page.wait("/\\d/.test(document.querySelector('#live .tile:nth-child(2)').innerText)", "the time to the first token")
    page.wait("document.querySelectorAll('.spark .line[d*=L]').length >= 3", "curves")


def test_settings_persist(page):
    page.click("#open-settings")
    page.evaluate("document.querySelector('[name=temperature]').focus()")
    page.type("0.25")
    page.evaluate("document.querySelector('[name=seed]').focus()")
    page.type("7")
    page.evaluate("document.querySelector('[name=system]').focus()")
    page.type("Be brief.")
    page.evaluate("document.querySelector('[name=stop]').focus()")
    page.type("END\nA\\nB")
    page.evaluate("document.querySelector('[name=max_tokens]').focus()")
    page.type("40")
    page.click("[name=json]")
    page.shot("settings")
    page.click("#settings .primary")
    page.open(page.url + "?again")
    page.click("#open-settings")
    equal(page.evaluate("['temperature', 'seed', 'system', 'stop'].map(n => document.querySelector(`[name=${n}]`).value)"),
          ["0.25", "7", "Be brief.", "END\nA\\nB"], "settings after loading again")
    equal(page.evaluate("document.querySelector('[name=json]').checked"), True, "JSON mode after loading again")
    page.press("Escape", 27)
    if not page.fake:
        return
    page.ask("Hello")
    body = page.seen()[-1]["body"]
    for name, value in {"temperature": 0.25, "seed": 7, "max_tokens": 40, "stop": ["END", "A\nB"], "stream": True,
                        "efficiency": True, "stream_options": {"include_usage": True},
                        "response_format": {"type": "json_object"}, "model": "deepseek-v2-lite"}.items():
        equal(body.get(name), value, name)
    equal(body["messages"], [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}], "messages")
    check("top_p" not in body, "top_p was sent though nobody set it")
    # Completion mode: the text itself, and what was answered to it, go on.
    page.click("#open-settings")
    page.click("[name=completion]")
    page.press("Escape", 27)
    page.press("k", 75, modifiers=2)
    page.ask("In the beginning")
    page.ask("And then")
    seen = page.seen()[-1]
    equal(seen["path"], "/v1/completions", "the path in completion mode")
    check(seen["body"]["prompt"].startswith("In the beginning") and seen["body"]["prompt"].endswith("\nAnd then"),
          f"prompt: {seen['body']['prompt']!r}")
    check("**streamed**" in page.text(), "in completion mode, text is shown as it is")


def test_conversations_are_kept(page):
    page.ask("Hello there")
    answer = page.text()
    page.press("k", 75, modifiers=2)
    equal(page.count(".question"), 0, "questions in a new chat")
    equal(page.evaluate("document.activeElement.id"), "prompt", "the focus after Ctrl+K")
    page.ask("Hello again")
    page.open(page.url + "?kept")
    equal(page.evaluate("[...document.querySelectorAll('.chat')].map(e => e.innerText)"), ["Hello again", "Hello there"], "chats")
    page.click("#chats li:nth-child(2) .chat")
    equal(page.text(), answer, "the answer that was kept")
    equal(page.evaluate("document.title"), "Hello there \u2013 Qiao", "the title")
    # Edited and sent again, the last question has one answer still.
    page.click(".question .edit")
    page.type(", please")
    page.press("Enter", 13, text="\r")
    page.wait(f"!{BUSY} && document.querySelector('.said').innerText === 'Hello there, please'", "the edited question")
    page.wait("document.querySelectorAll('.answer').length === 1", "one answer")
    page.click("#chats li:nth-child(1) .remove")
    equal(page.count("#chats .chat"), 1, "chats after one was deleted")


def test_widths(page):
    page.ask("Show me some code and a table")
    for width, height in ((360, 740), (390, 844), (768, 1024), (1280, 800), (1920, 1080)):
        page.size(width, height, mobile=width < 500)
        page.evaluate("new Promise(done => setTimeout(done, 150))")
        wide = page.evaluate("[...document.querySelectorAll('html, body, main, #scroll, .dock')]"
                             ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.tagName + '#' + e.id)")
        equal(wide, [], f"scroll sideways at {width}")
        equal(page.evaluate("document.documentElement.scrollWidth"), width, "the page's width")
    page.size(360, 740, mobile=True)
    page.evaluate("new Promise(done => setTimeout(done, 150))")
    for name in ("side", "panel"):
        page.click(f"#{name}-open")
        page.wait(f"getComputedStyle(document.getElementById('{name}')).display !== 'none'", f"{name} as a drawer")
        equal(page.evaluate(f"document.getElementById('{name}').contains(document.activeElement)"), True, "the focus is in it")
        equal(page.evaluate("document.querySelector('main').inert"), True, "the page behind it is inert")
        check(page.evaluate(f"document.getElementById('{name}').getBoundingClientRect().width") < 340, "it leaves a margin")
        equal(page.evaluate("document.documentElement.scrollWidth"), 360, "the page's width with a drawer")
        page.press("Escape", 27)
        equal(page.evaluate(f"getComputedStyle(document.getElementById('{name}')).display"), "none", "closed by Esc")
        equal(page.evaluate("document.activeElement.id"), f"{name}-open", "the focus goes back")
    page.size(1280, 800)


def test_keyboard(page):
    first = "[...document.querySelectorAll('a, button, input, textarea')].find(e => e.tabIndex >= 0)"
    equal(page.evaluate(f"({first}.focus(), document.activeElement.className)"), "skip", "what Tab reaches first")
    check(page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0, "the skip link is off the screen")
    page.press("Enter", 13, text="\r")
    equal(page.evaluate("document.activeElement.id"), "prompt", "where the skip link leads")
    page.type("one")
    page.press("Enter", 13, modifiers=8, text="\r")
    page.type("two")
    equal(page.evaluate("document.querySelector('#prompt').value"), "one\ntwo", "Shift+Enter")
    equal(page.count(".question"), 0, "questions")
    equal(page.evaluate("document.querySelector('#log').getAttribute('aria-live')"), "polite", "aria-live")
    unnamed = page.evaluate("[...document.querySelectorAll('button, input, textarea, a')].filter(e => !e.innerText.trim() &&"
                            " !e.ariaLabel && !e.labels?.length).map(e => e.outerHTML)")
    equal(unnamed, [], "controls without a name")


ANY = [test_answer_stop_again, test_efficiency_and_live, test_settings_persist, test_conversations_are_kept, test_widths,
       test_keyboard]


def no_strange_events(page):
    """What the browser said and asked for since the last call."""
    origin = urllib.parse.urlsplit(page.url).netloc
    problems = []
    while page.events:
        method, params = page.events.popleft()
        if method == "Runtime.exceptionThrown":
            problems.append(str(params["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            problems.append(str(params["args"])[:600])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            text = params["entry"]["text"] + " " + params["entry"].get("url", "")
            if not any(part in text for part in page.allowed_errors):
                problems.append(text)
        elif method == "Network.requestWillBeSent":
            url = urllib.parse.urlsplit(params["request"]["url"])
            if url.netloc != origin and url.scheme not in ("about", "chrome"):
                problems.append(f"a request to {params['request']['url']}")
    equal(problems, [], "errors in the console and strange requests")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url")
    parser.add_argument("--key")
    parser.add_argument("--screenshots", type=pathlib.Path)
    parser.add_argument("--only", default="", help="tests whose names contain this")
    arguments = parser.parse_args()
    if not devtools.find_chromium():
        print("page_test: Skipped\nno Chromium is installed (apt-get install chromium)")  # as tools/test reads it
        return 77
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    server = None
    tests = ANY
    url = arguments.base_url
    if not url:
        import fake_tests
        server = fake_server.start(pace=0.15)
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        tests = ANY + fake_tests.ALL
    browser = devtools.Browser()
    failed = 0
    try:
        page = Page(browser, url.rstrip("/") + "/", arguments.screenshots, server, arguments.key)
        for test in tests:
            if arguments.only not in test.__name__:
                continue
            began = time.monotonic()
            try:
                page.size(1280, 800)
                page.media(prefers_color_scheme="light")
                page.allowed_errors = []
                page.fresh()
                test(page)
                no_strange_events(page)
                print(f"ok    {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception:  # whatever a test met is its failure
                failed += 1
                traceback.print_exc()
                page.shot(f"failed-{test.__name__}")
                print(f"FAILED {test.__name__}", flush=True)
                page.events.clear()
                if server:
                    server.state.key = None
    finally:
        browser.close()
        if server:
            server.shutdown()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
