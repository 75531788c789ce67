#!/usr/bin/env python3
"""Writes include/aclnnop/*.h from ops/aclnnop.txt.

Usage: make_aclnn_headers.py [--check]    (--check: only says whether the headers are up to date)

ops/aclnnop.txt holds, for each header, "== stem", then for each operator comment lines ("# text") and one line
"Name(arguments of the first phase)". Each operator becomes the two functions of the protocol. Needs clang-format-14.
"""
import pathlib
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTH = 110


def declaration(name, arguments):
    out = "uint64_t* workspaceSize, aclOpExecutor** executor"
    return (f"aclnnStatus aclnn{name}GetWorkspaceSize({', '.join(filter(None, [arguments, out]))});\n"
            f"aclnnStatus aclnn{name}(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream);")


def formatted(text):
    return subprocess.run(["clang-format-14", "--assume-filename", str(ROOT / "include" / "any.h")], input=text, text=True,
                          capture_output=True, check=True).stdout


def comment(lines):
    text = textwrap.wrap(" ".join(lines), WIDTH - 3)
    if len(text) == 1 and len(text[0]) + 6 <= WIDTH:
        return f"/* {text[0]} */"
    return "/* " + "\n * ".join(text) + "\n */"


def headers(text):
    result, stem, body, notes = {}, None, [], []

    def flush():
        if stem is None:
            return
        guard = f"QIAO_ACLNNOP_ACLNN_{stem.upper()}_H_"
        result[f"aclnn_{stem}.h"] = formatted(
            f"/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */\n"
            f"#ifndef {guard}\n#define {guard}\n\n#include <aclnn/aclnn_base.h>\n\n"
            f"#ifdef __cplusplus\nextern \"C\" {{\n#endif\n#pragma GCC visibility push(default)\n\n" + "\n\n".join(body) +
            f"\n\n#pragma GCC visibility pop\n#ifdef __cplusplus\n}} /* extern \"C\" */\n#endif\n\n#endif /* {guard} */\n")

    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("== "):
            flush()
            stem, body, notes = line[3:], [], []
        elif line.startswith("#"):
            notes.append(line[1:].strip())
        elif line.startswith("raw "):
            body.append((comment(notes) + "\n" if notes else "") + line[4:])
            notes = []
        elif line and stem:
            name, rest = line.split("(", 1)
            if not rest.endswith(")"):
                sys.exit(f"aclnnop.txt:{number}: no closing parenthesis")
            body.append((comment(notes) + "\n" if notes else "") + declaration(name, rest[:-1]))
            notes = []
        elif not line:
            notes = []
    flush()
    return result


def main():
    made = headers((ROOT / "ops" / "aclnnop.txt").read_text())
    folder = ROOT / "include" / "aclnnop"
    folder.mkdir(parents=True, exist_ok=True)
    stale = [n for n, t in made.items() if not (folder / n).exists() or (folder / n).read_text() != t]
    extra = [p.name for p in folder.glob("*.h") if p.name not in made]
    if "--check" in sys.argv:
        if stale or extra:
            sys.exit(f"not up to date: {stale + extra}")
        return
    for name, text in made.items():
        (folder / name).write_text(text)
    for name in extra:
        (folder / name).unlink()


main()
