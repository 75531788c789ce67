"""Transcripts: what went over the wire, with what differs from run to run (ids, times, the model's words) masked,
compared with the file that is committed beside the tests. QIAO_WRITE_TRANSCRIPTS=1 writes them anew."""
import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")
# Members whose values differ, and what stands for them.
MASKED = {"id": "ID", "created": 0, "created_at": 0, "completed_at": 0, "request_id": "ID", "item_id": "ID",
          "call_id": "ID", "system_fingerprint": "ID"}
# What the model wrote: another machine's arithmetic may choose other words.
WORDS = {"content", "text", "delta", "arguments", "partial_json", "reasoning_content", "token", "bytes", "logprob"}


def mask(value, name=None):
    if name in MASKED and value is not None:
        return MASKED[name]
    if name in WORDS and isinstance(value, str):
        return "WORDS" if value else ""
    if name == "usage" and isinstance(value, dict):
        return {k: mask(v, "usage") if isinstance(v, dict) else ("N" if isinstance(v, int) else v)
                for k, v in value.items()}
    if isinstance(value, dict):
        return {k: mask(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [mask(v) for v in value]
    return value


def fold(events):
    """Runs of equal events count as one: their number depends on the words."""
    out = []
    for event in events:
        event = dict(event)
        event.pop("sequence_number", None)
        if out and out[-1] == event:
            continue
        out.append(event)
    return out


def check(test, name, request, answer):
    """`answer`: the parsed body, or the list of a stream's events."""
    masked = mask(answer)
    if isinstance(masked, list):
        masked = fold(masked)
    found = json.dumps({"request": request, "answer": masked}, indent=1, ensure_ascii=False) + "\n"
    path = os.path.join(FOLDER, name + ".json")
    if os.environ.get("QIAO_WRITE_TRANSCRIPTS"):
        os.makedirs(FOLDER, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(found)
    with open(path, encoding="utf-8") as file:
        test.assertEqual(file.read(), found, f"{name} is not as {path} has it")
