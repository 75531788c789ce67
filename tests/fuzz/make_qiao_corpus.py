#!/usr/bin/env python3
"""Writes corpus/qiao_file: small .qiao files, good and bad. Needs flatc.

The prologue's checksums are left out: the fuzz target puts them right in a copy of every input.
"""
import json
import pathlib
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
SCHEMA = HERE.parents[1] / "runtime/formats/qiao_file.fbs"
EMPTY = 0x2D06800538D394C2  # XXH3-64 of nothing


def header(model):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "h.json"
        source.write_text(json.dumps(model))
        subprocess.run(["flatc", "-b", "-o", folder, SCHEMA, source], check=True)
        return next(p for p in pathlib.Path(folder).iterdir() if p.suffix not in (".json",)).read_bytes()


def file(payload, model, raw=None):
    head = header(model) if raw is None else raw
    at = 64 + len(payload)
    prologue = b"\x89QIAO\r\n\x1a" + struct.pack("<IIQQQQQQ", 1, 0, at, len(head), 0, at + len(head), 0, 0)
    return prologue + payload + head


def tensor(name, offset, count, dtype="U8", shape=None, **more):
    return {"name": name, "dtype": dtype, "shape": shape or [count], "offset": offset, "bytes": count, **more}


TEXT = {"name": "config.json", "offset": 64, "bytes": 0, "checksum": EMPTY}
FILES = {
    "empty_model": file(b"", {}),
    "text": file(b"", {"producer": "p", "texts": [TEXT]}),
    "tensors": file(bytes(256), {"texts": [TEXT], "tensors": [
        tensor("a", 64, 100), tensor("b", 192, 24, "BF16", [3, 4]), tensor("c", 256, 64, "F8_E4M3", [2, 2, 16])]}),
    "packed": file(bytes(64), {"tensors": [tensor("a", 64, 60, shape=[7], packing="cpu/1")]}),
    "overlap": file(bytes(256), {"tensors": [tensor("a", 64, 100), tensor("b", 128, 100)]}),
    "outside": file(bytes(64), {"tensors": [tensor("a", 64, 1 << 40)]}),
    "wraps": file(bytes(64), {"tensors": [tensor("a", (1 << 64) - 64, 128)]}),
    "huge_shape": file(bytes(64), {"tensors": [tensor("a", 64, 64, shape=[1 << 62, 1 << 62])]}),
    "twice": file(bytes(256), {"tensors": [tensor("a", 64, 16), tensor("a", 128, 16)]}),
    "ranks": file(bytes(64), {"tensors": [tensor("a", 64, 1, shape=[1] * 12)]}),
    "many": file(b"", {"tensors": [tensor(f"t{i}", 64, 0, shape=[0]) for i in range(50)]}),
    "no_flatbuffer": file(bytes(64), {}, raw=b"\xff" * 64),
    "short": b"\x89QIAO\r\n\x1a\x01",
}

if __name__ == "__main__":
    folder = HERE / "corpus/qiao_file"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
