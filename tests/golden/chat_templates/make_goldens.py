#!/usr/bin/env python3
"""Renders every case with Jinja2 itself, configured as transformers configures it, into cases.jsonl.

Needs Jinja2 3.1.6 and nothing else: python3 make_goldens.py. The snippets are in snippets.py, the templates written in
the manner of the model families in family_*.jinja with their conversations in families.py; all are Qiao's own.
Each line: {"name", "template", "context", "expected"} or, where Python raises, {"name", ..., "error": true}; "context"
names an entry of contexts.json, and a "template" of the form family_*.jinja names that file.
"""

import datetime
import json
import os

import jinja2
import jinja2.ext
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from families import family_cases
from snippets import snippet_cases

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2025, 3, 9, 14, 5, 7)  # what the C++ test's clock tells


class GenerationTag(Extension):
    """transformers' {% generation %}: its body is rendered as a call block."""
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_support"), [], [], body).set_lineno(lineno)

    @jinja2.pass_eval_context
    def _support(self, context, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return env


def main():
    env = environment()
    contexts, snippets = snippet_cases()
    family_contexts, families = family_cases(HERE)
    contexts.update(family_contexts)
    out = []
    for name, template, context, source in [(n, t, c, t) for n, t, c in snippets] + families:
        case = {"name": name, "template": template, "context": context}
        try:
            case["expected"] = env.from_string(source).render(**contexts[context])
        except Exception:
            case["error"] = True
        if " at 0x" in case.get("expected", ""):
            raise SystemExit(f"{name}: prints an address, which no other program can match")
        out.append(case)
    with open(os.path.join(HERE, "contexts.json"), "w", encoding="utf-8") as f:
        json.dump(contexts, f, ensure_ascii=False, indent=1)
        f.write("\n")
    with open(os.path.join(HERE, "cases.jsonl"), "w", encoding="utf-8") as f:
        for case in out:
            f.write(json.dumps(case, ensure_ascii=False) + "\n")
    print(len(out), "cases,", sum("error" in c for c in out), "errors")


if __name__ == "__main__":
    main()
