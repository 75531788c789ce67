#!/usr/bin/env python3
"""Writes pretokenizer_unicode.inc: the Unicode tables of the regex engine inside Hugging Face `tokenizers`.

The tables are asked from the library itself (pip install tokenizers==0.23.3), code point by code point, because a
pre-tokenizer pattern must classify every character as that library does, whatever its Unicode version is.
Run: python3 runtime/text/pretokenizer_unicode_gen.py > runtime/text/pretokenizer_unicode.inc
"""
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn").split()
# Sets that are not unions of general categories: our name and the pattern that has it.
SETS = {"word": r"\w", "space": r"\s", "alphabetic": r"\p{Alpha}", "alnum": r"\p{Alnum}", "han": r"\p{Han}",
        "hiragana": r"\p{Hiragana}", "katakana": r"\p{Katakana}", "hangul": r"\p{Hangul}", "latin": r"\p{Latin}",
        "cyrillic": r"\p{Cyrillic}", "greek": r"\p{Greek}", "arabic": r"\p{Arabic}", "thai": r"\p{Thai}"}
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def members(pattern):
    """The code points that match `pattern`, found by removing all others and looking at what is left."""
    found = set()
    splitter = pre_tokenizers.Split(Regex("[^" + pattern + "]"), "removed")
    for base in range(0, len(POINTS), 20000):
        part = POINTS[base:base + 20000]
        for _, (first, last) in splitter.pre_tokenize_str("".join(map(chr, part))):
            found.update(part[first:last])
    return found


def emit(name, values, per_line):
    print(f"constexpr uint32_t {name}[] = {{")
    for i in range(0, len(values), per_line):
        print("    " + ", ".join(f"0x{v:x}" for v in values[i:i + per_line]) + ",")
    print("};\n")


def emit_lowercase():
    runs = []  # [first, last, step, distance]
    for c in POINTS:
        lower = normalizers.Lowercase().normalize_str(chr(c))
        if lower == chr(c) or len(lower) != 1:
            continue
        distance = ord(lower) - c
        if runs and runs[-1][3] == distance:
            first, last, step, _ = runs[-1]
            if c - last <= 2 and (first == last or c - last == step):
                runs[-1] = [first, c, c - last, distance]
                continue
        runs.append([c, c, 1, distance])
    print("// Every step-th code point of a run has its lower case at a distance. U+0130, whose lower case is two")
    print("// characters, is not here.")
    print("constexpr LowercaseRun kLowercaseRuns[] = {")
    for first, last, step, distance in runs:
        print(f"    {{0x{first:x}, 0x{last:x}, {step}, {distance}}},")
    print("};")


def main():
    print(f"// Written by pretokenizer_unicode_gen.py from tokenizers {tokenizers.__version__}. Do not edit.\n")
    of = {c: CATEGORIES.index("Cs") for c in range(0xD800, 0xE000)}
    for i, category in enumerate(CATEGORIES):
        if category != "Cs":
            for c in members(r"\p{%s}" % category):
                assert c not in of, hex(c)
                of[c] = i
    runs = []
    for c in range(0x110000):
        if not runs or runs[-1] & 31 != of[c]:
            runs.append(c << 5 | of[c])
    print("// One word a run of equal general category: first code point << 5 | index into kCategoryNames.")
    emit("kCategoryRuns", runs, 11)
    for name, pattern in SETS.items():
        bounds = []  # first, last, first, last, ...
        for c in sorted(members(pattern)):
            if bounds and bounds[-1] == c - 1:
                bounds[-1] = c
            else:
                bounds += [c, c]
        emit("kSet_" + name, bounds, 12)
    print("constexpr NamedSet kNamedSets[] = {")
    for name in SETS:
        print(f'    {{"{name}", kSet_{name}}},')
    print("};\n")
    emit_lowercase()


main()
