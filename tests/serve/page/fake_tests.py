"""Tests of the web page whose answers must be known: they run against fake_server.py only (see page_test.py)."""
import json

from page_test import BUSY, LAST, check, equal


def test_think_block(page):
    page.ask("Think: why is the cache of MLA small?", wait=False)
    page.wait(f"/^Thinking for/.test({LAST}?.querySelector('.think summary')?.innerText)", "thoughts that are being had")
    page.wait(f"!{BUSY}", "the answer")
    check(page.text(".think summary").startswith("Thought for "), page.text(".think summary"))
    equal(page.evaluate(f"{LAST}.querySelector('.think').open"), False, "thoughts are open")
    check("Let me go through it" not in page.text(".text"), "thoughts are in the answer")
    page.shot("desktop-light")
    page.media(prefers_color_scheme="dark")
    page.shot("desktop-dark")
    page.media(prefers_color_scheme="light")
    page.click(".think summary")
    page.wait(f"{LAST}.querySelector('.thoughts li') !== null", "the thoughts, as Markdown")
    equal(page.evaluate(f"{LAST}.querySelectorAll('.text ol li').length"), 3, "items of the answer's list")
    page.ask("And shorter?")
    said = page.seen()[-1]["body"]["messages"]
    equal([message["role"] for message in said], ["user", "assistant", "user"], "roles")
    check("Let me go" not in json.dumps(said), "thoughts were sent back")


def test_code_block(page):
    page.ask("Show me some code")
    equal(page.count(".code"), 2, "blocks of code")
    equal(page.evaluate("[...document.querySelectorAll('.language')].map(e => e.innerText)"), ["cpp", "python"], "languages")
    check(page.count(".code .t-keyword") > 8 and page.count(".code .t-comment") == 3, "no colours")
    source = page.evaluate("document.querySelector('.code code').textContent")
    check(source.startswith("#include <array>\n\n// Keeps") and source.endswith("};\n"), source)
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.click(".code figcaption .tool")
    page.wait("document.querySelector('.code figcaption .tool').innerText === 'Copied'", "the button says so")
    equal(page.evaluate("navigator.clipboard.readText()"), source.rstrip("\n"), "the clipboard")
    page.shot("code-light")


def test_table_and_lists(page):
    page.ask("Show me a table")
    equal(page.evaluate("[...document.querySelectorAll('th')].map(e => e.className)"), ["left", "right", "center"], "columns")
    equal(page.count("tbody tr"), 3, "rows")
    equal(page.count("blockquote"), 1, "quotes")
    equal(page.count(".text > ul > li"), 4, "items")
    equal(page.count(".text ul ul li"), 2, "nested items")
    equal(page.evaluate("[...document.querySelectorAll('.task input')].map(e => e.checked)"), [True, False], "boxes")
    equal(page.evaluate("[...document.querySelectorAll('.text a')].map(e => [e.href, e.rel])"),
          [["https://example.org/cache", "noopener noreferrer"]], "links")


def test_attacks_stay_text(page):
    page.ask("attack")
    equal(page.evaluate("window.attacked === undefined"), True, "nothing ran")
    text = page.evaluate(f"{LAST}.querySelector('.text').textContent")
    for part in ('<img src=x onerror="window.attacked = 1">', "<script>window.attacked = 2</script>",
                 "[click](javascript:window.attacked=3)", "[data](data:text/html", "<style>body{display:none}</style>",
                 '<svg onload="window.attacked = 9">', "<b>bold</b>", "<iframe", "<img src=x onerror=window.attacked=10>"):
        check(part in text, f"{part!r} is not in {text!r}")
    tags = page.evaluate(f"[...new Set([...{LAST}.querySelectorAll('.text *')].map(e => e.localName))].sort()")
    for tag in ("img", "script", "style", "iframe", "b", "object", "form"):
        check(tag not in tags, f"<{tag}> was made")
    attributes = page.evaluate(f"[...{LAST}.querySelectorAll('.text *')].flatMap(e => [...e.attributes].map(a => a.name))")
    check(not [name for name in attributes if name.startswith("on") or name == "style"], f"{attributes}")
    equal(page.evaluate(f"[...{LAST}.querySelectorAll('.text a')].every(e => e.protocol === 'https:')"), True, "links")
    # A person's own text, and a title made from it, too.
    page.press("k", 75, modifiers=2)
    page.ask("<img src=x onerror=window.attacked=11>")
    page.open(page.url + "?kept")
    equal(page.evaluate("window.attacked === undefined && document.querySelectorAll('img').length"), 0, "images")


def test_markdown_in_pieces(page):
    """However a text arrives, what is shown in the end is what it is in one go; closed blocks are not made twice."""
    page.evaluate("""(async () => {
      const {MarkdownView} = await import('/page/markdown.js');
      const random = (() => { let s = 12345; return (n) => (s = (s * 1103515245 + 12345) % 2147483648) % n; })();
      const pieces = ['# ', '## a\\n', '- ', '1. ', '   ', '\\n', '\\n\\n', '> ', '```', '```js\\n', '~~~\\n', '| a | b |\\n', '|--|--|\\n',
        '**', '*', '_', '`', '[x](http://e.org)', '[', ']', '](', '<b>', 'word ', 'two words', '\\\\', '---\\n', '- [x] ', '\\t', '$$', '\\\\(',
        '\\\\)', 'https://e.org/a_b', '!', '|', '中文', '~~', '\\r\\n', '    ', '10) ', '#', '=', '&lt;', '"'];
      for (let round = 0; round < 400; ++round) {
        let text = '';
        for (let i = 0, n = 1 + random(40); i < n; ++i) text += pieces[random(pieces.length)];
        const whole = new MarkdownView(document.createElement('div'));
        whole.update(text);
        const grown = new MarkdownView(document.createElement('div'));
        for (let at = 0; at < text.length;) grown.update(text.slice(0, at += 1 + random(7)));
        grown.update(text);
        if (whole.element.innerHTML !== grown.element.innerHTML) {
          throw new Error(JSON.stringify(text) + ' whole: ' + whole.element.innerHTML + ' grown: ' + grown.element.innerHTML);
        }
      }
      const view = new MarkdownView(document.createElement('div'));
      view.update('One.\\n\\nTwo.\\n\\nThr');
      const first = view.element.firstChild;
      view.update('One.\\n\\nTwo.\\n\\nThree.\\n\\n```c\\nint a;\\n');
      const line = view.element.querySelector('.line');
      view.update('One.\\n\\nTwo.\\n\\nThree.\\n\\n```c\\nint a;\\nint b;\\n');
      if (view.element.firstChild !== first || !view.element.contains(line)) throw new Error('closed blocks were made anew');
    })()""")


def test_markdown_cases(page):
    cases = {
        "a **b** *c* `d` ~~e~~": "<p>a <strong>b</strong> <em>c</em> <code>d</code> <del>e</del></p>",
        "***x***": "<p><em><strong>x</strong></em></p>",
        "snake_case_name 2*3*4": "<p>snake_case_name 2<em>3</em>4</p>",
        "**\u4e2d\u6587\uff1a**\u597d": "<p><strong>\u4e2d\u6587\uff1a</strong>\u597d</p>",
        "1. a\n   - b\n   - c\n2. d": "<ol><li><span>a</span><ul><li><span>b</span></li><li><span>c</span></li></ul></li>"
                                      "<li><span>d</span></li></ol>",
        "1. a\n  - b": "<ol><li><span>a</span><ul><li><span>b</span></li></ul></li></ol>",
        "3. a\n\n4. b": '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>',
        "``a ` b``": "<p><code>a ` b</code></p>",
        "\\*not\\* [a] (b)": "<p>*not* [a] (b)</p>",
        "a\nb": "<p>a<br>b</p>",
        "# A #\ntext": '<h3 class="h h-1">A</h3><p>text</p>',
        "> a\nb\n\nc": "<blockquote><p>a<br>b</p></blockquote><p>c</p>",
        "\\(a_1 * b_2 * c\\)": '<p><code class="math">a_1 * b_2 * c</code></p>',
        "[a *b*](https://e.org/x_(y))": '<p><a href="https://e.org/x_(y)" rel="noopener noreferrer" target="_blank">a <em>b</em></a></p>',
        "see https://e.org/a.": '<p>see <a href="https://e.org/a" rel="noopener noreferrer" target="_blank">https://e.org/a</a>.</p>',
        "[a](vbscript:x) [b](//e.org) [c](/x)": "<p>[a](vbscript:x) [b](//e.org) [c](/x)</p>",
        "[m](mailto:a@e.org)": '<p><a href="mailto:a@e.org" rel="noopener noreferrer" target="_blank">m</a></p>',
        "<b>x</b> &amp; y": "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>",
    }
    got = page.evaluate(f"""(async () => {{
      const {{MarkdownView}} = await import('/page/markdown.js');
      return {json.dumps(list(cases))}.map((text) => {{
        const view = new MarkdownView(document.createElement('div'));
        view.update(text);
        return view.element.innerHTML;
      }});
    }})()""")
    for (text, wanted), html in zip(cases.items(), got):
        equal(html, wanted, repr(text))
    # What is made to take long, does not (a hang is stopped by the protocol's limit).
    page.evaluate("""(async () => {
      const {MarkdownView} = await import('/page/markdown.js');
      for (const part of ['*a ', '[', '![', '](', '`'.repeat(3) + ' ', '> ', '- ', '_a*', '[a](b "', '|a', '<http://', '\\\\(', '**a_', '\\n- ', '1. ']) {
        new MarkdownView(document.createElement('div')).update(part.repeat(5000));
      }
    })()""")


def test_long_prefill(page):
    page.ask("slow", wait=False)
    page.wait(f"{LAST}?.querySelector('progress')?.value > 0", "a bar")
    equal(page.evaluate(f"{LAST}.querySelector('progress').max"), 3000, "its end")
    check("of 3,000 tokens" in page.text(".prefill"), page.text(".prefill"))
    page.shot("prefill")
    page.wait(f"!{BUSY}", "the answer")
    equal(page.evaluate(f"{LAST}.querySelector('.waiting').hidden"), True, "the bar is gone")


def test_tool_calls(page):
    page.ask("Use a tool")
    equal(page.text(".call summary"), "Calls weather", "the call")
    equal(page.evaluate(f"{LAST}.querySelector('.call').open"), False, "it is open")
    equal(page.evaluate(f"{LAST}.querySelector('.call pre').textContent"), '{\n  "city": "Hangzhou",\n  "days": 3\n}', "arguments")


def test_errors_in_place(page):
    page.allowed_errors = ["400", "429", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    page.ask("bad request")
    check("holds 32,768: shorten it" in page.text(".problem .what"), page.text(".problem"))
    facts = page.text(".problem .facts")
    check("status 400" in facts and "request req_" in facts, facts)
    page.shot("error")
    page.click(".problem .tool")
    page.wait(f"!{BUSY}", "the second try")
    equal(page.count(".problem:not([hidden])"), 1, "problems after a second try")
    page.ask("busy")
    check("try again in 2 s" in page.text(".problem .facts"), page.text(".problem"))
    page.ask("broken")
    equal(page.text(".text").strip(), "This begins well", "what came before the error")
    check("The device was lost." in page.text(".problem"), page.text(".problem"))
    page.ask("cut")
    check("before the answer" in page.text(".problem"), page.text(".problem"))
    page.ask("Hello")
    # What failed without an answer is not said again.
    said = [message["content"] for message in page.seen()[-1]["body"]["messages"] if message["role"] == "user"]
    check("broken" in said and said[-1] == "Hello", f"{said} were sent")
    check("bad request" not in said and "busy" not in said, f"{said} were sent")


def test_key_dialog(page):
    page.allowed_errors = ["401"]
    page.evaluate("fetch('fake/key', {method: 'POST', body: JSON.stringify({key: 'sesame'})})")
    page.ask("Hello", wait=False)
    page.wait("document.querySelector('#key').open", "the dialog")
    equal(page.evaluate("document.activeElement.id"), "key-input", "the focus")
    page.shot("key")
    page.type("wrong")
    page.press("Enter", 13, text="\r")
    page.wait("document.querySelector('#key').open && /did not accept/.test(document.querySelector('#key').innerText)", "a second dialog")
    page.type("sesame")
    page.press("Enter", 13, text="\r")
    page.wait(f"!{BUSY} && !document.querySelector('#key').open", "the answer")
    check("Hello." in page.text(), page.text())
    equal(page.evaluate("sessionStorage.getItem('qiao.key')"), '"sesame"', "the key of this tab")
    equal(page.evaluate("JSON.stringify(localStorage).includes('sesame')"), False, "the key is kept for longer")
    page.evaluate("fetch('fake/key', {method: 'POST', body: JSON.stringify({key: null}), headers: {Authorization: 'Bearer sesame'}})")


def test_live_rests_when_hidden(page):
    polls = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('/v1/stats')).length"
    before = page.evaluate(polls)
    page.wait(f"{polls} > {before}", "a poll while the panel is shown")
    page.click("#panel-close")
    page.evaluate("new Promise(done => setTimeout(done, 300))")
    before = page.evaluate(polls)
    page.evaluate("new Promise(done => setTimeout(done, 1500))")
    equal(page.evaluate(polls), before, "polls while the panel is closed")
    page.click("#panel-open")
    page.wait(f"{polls} > {before}", "a poll after it was opened")


def test_screenshots(page):
    if not page.folder:
        return
    page.shot("welcome-light")
    page.ask("Think: why is the cache of MLA small?")
    page.ask("Show me some code")
    page.ask("Show me a table")
    page.shot("table-light")
    page.evaluate("document.querySelector('#panel').scrollTop = 400")
    page.shot("panel-light")
    page.media(prefers_color_scheme="dark")
    page.shot("table-dark")
    page.evaluate("document.querySelector('.code').scrollIntoView()")
    page.shot("code-dark")
    page.size(390, 844, mobile=True)
    page.shot("phone-dark")
    page.media(prefers_color_scheme="light")
    page.evaluate("document.querySelector('#scroll').scrollTop = 0")
    page.shot("phone-light")
    page.click("#panel-open")
    page.shot("phone-panel")
    page.press("Escape", 27)
    page.click("#side-open")
    page.shot("phone-side")
    page.press("Escape", 27)
    page.evaluate("document.querySelector('#new-chat').click()")
    page.shot("phone-welcome")


ALL = [test_think_block, test_code_block, test_table_and_lists, test_attacks_stay_text, test_markdown_in_pieces,
       test_markdown_cases, test_long_prefill, test_tool_calls, test_errors_in_place, test_key_dialog,
       test_live_rests_when_hidden, test_screenshots]
