"""What the fake server says: scripts, chosen by a word in the question."""
import dataclasses
import re


@dataclasses.dataclass
class Script:
    parts: list = dataclasses.field(default_factory=list)  # (kind, text): "content", "reasoning_content", "tool", ...
    status: int = 200
    message: str = ""
    kind: str = ""
    prefill: int = 0     # tokens of the prompt, told in comments
    cached: int = 0
    wait: float = 0.15   # seconds before the first token
    each: float = 0.012  # seconds a token


SHORT = "Hello. This is a **streamed** answer with `code`, *emphasis* and a [link](https://example.org/a?b=1)."

THOUGHTS = """The question is about why a cache of latents is smaller. Let me go through it.

- Multi-head attention keeps a key and a value for each head.
- MLA keeps one latent vector and a short rope key.

So the ratio follows from the widths alone."""

THOUGHT_ANSWER = """In multi-head attention, every token leaves a key and a value **for each head** in the cache. MLA projects both \
down to one latent vector that all heads share, and keeps only that.

1. The latent has 512 numbers.
2. The rope key has 64 more.
3. Sixteen heads would need 16 \u00d7 (192 + 128) = 5,120.

So the cache is about nine times smaller, and attention reads that much less memory for each token it writes."""

CODE = """A ring buffer keeps the last *n* values without moving any of them:

```cpp
#include <array>

// Keeps the newest N values; the oldest one goes first.
template <typename T, size_t N>
class Ring {
 public:
  void Push(T value) {
    values_[next_ % N] = std::move(value);
    ++next_;
  }
  size_t size() const { return next_ < N ? next_ : N; }

 private:
  std::array<T, N> values_{};
  size_t next_ = 0;  // counts all pushes
};
```

`Push` takes constant time. In Python, `collections.deque` does the same:

```python
from collections import deque

last = deque(maxlen=8)
for value in range(20):
    last.append(value)  # "0" to "11" are gone
```
"""

TABLE = """### Formats of a cache

Each token and layer of a model of this shape takes:

| format | bytes | against bf16 |
|:-------|------:|:------------:|
| f32    | 2,304 | 2.0\u00d7 |
| bf16   | 1,152 | 1.0\u00d7 |
| fp8    |   656 | 0.57\u00d7 |

> A latent in FP8 keeps a scale for each 128 channels.
> The rope key stays in bf16.

What follows from it:

- Longer conversations fit
  - about 1.8 times as many tokens
  - in the same pages
- Attention reads less
- [x] perplexity measured
- [ ] nothing else changes

---

See <https://example.org/cache> for more."""

ATTACK = """<img src=x onerror="window.attacked = 1"> and <script>window.attacked = 2</script>

[click](javascript:window.attacked=3) and [data](data:text/html,<script>window.attacked=4</script>)
and ![picture](https://example.org/pixel.png) and [\u0001javascript](\u0001javascript:window.attacked=5)

<a href="javascript:window.attacked=6">raw</a> <javascript:window.attacked=7> <style>body{display:none}</style>

```html" onmouseover="window.attacked=8
<svg onload="window.attacked = 9">
```

| <b>bold</b> | <iframe src="https://example.org"></iframe> |
|---|---|
| `<i>` | &lt;img src=x onerror=window.attacked=10&gt; |"""

LONG = "\n\n".join(f"Paragraph {i}. " + "The bridge carries what the river cannot, and asks for nothing in return. " * 3
                   for i in range(1, 80))

TOOL = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": '}},
        {"index": 0, "function": {"arguments": '"Hangzhou", "days": 3}'}}]

SCRIPTS = {
    "think": Script([("reasoning_content", THOUGHTS), ("content", THOUGHT_ANSWER)], cached=12, each=0.008),
    "code": Script([("content", CODE)], cached=24),
    "table": Script([("content", TABLE)], cached=24),
    "attack": Script([("content", ATTACK)]),
    "slow": Script([("content", SHORT)], prefill=3000),
    "tool": Script([("content", "I look it up."), *[("tool", call) for call in TOOL]]),
    "long": Script([("content", LONG)], each=0.01),
    "bad request": Script(status=400, message="The prompt has 40,000 tokens and the context holds 32,768: shorten it by "
                          "7,232.", kind="invalid_request_error"),
    "busy": Script(status=429, message="Too many requests wait already.", kind="rate_limit_error"),
    "broken": Script([("content", "This begins well "), ("error", "The device was lost.")]),
    "cut": Script([("content", "This begins well "), ("cut", "")]),
}


def choose(question):
    for word, script in SCRIPTS.items():
        if word in question.lower():
            return script
    return Script([("content", SHORT)])


def tokens(text, random):
    """Pieces of about a token's length; some break words, as tokens do."""
    for word in re.findall(r"\s*\S+|\s+$", text):
        cut = random.randint(1, len(word)) if len(word) > 6 else len(word)
        yield word[:cut]
        if cut < len(word):
            yield word[cut:]
