"""What the case files of this folder are made of: numbers, views, cases, and the two files of a family.

Only numpy. Everything is computed in float64 from operands that are already numbers of their dtype, and rounded once,
half to even, to the dtype of the result.
"""

import json
import struct

import numpy as np

BITS = {"f32": 32, "f16": 16, "bf16": 16, "i8": 8, "u8": 8, "i32": 32, "i64": 64, "bool": 8, "f8_e4m3": 8}
FILE_DTYPE = {"f32": "F32", "f16": "F16", "bf16": "BF16", "i8": "I8", "u8": "U8", "i32": "I32", "i64": "I64",
              "bool": "BOOL", "f8_e4m3": "F8_E4M3"}
# Explicit mantissa bits and the exponent of the smallest normal number.
FLOATS = {"f32": (23, -126), "f16": (10, -14), "bf16": (7, -126), "f8_e4m3": (3, -6)}
LARGEST = {"f32": float(np.finfo(np.float32).max), "f16": 65504.0, "bf16": 2.0 ** 127 * (2 - 2.0 ** -7),
           "f8_e4m3": 448.0}


def rounded(x, dtype):
    """x (float64) as numbers of `dtype`: half to even, subnormals kept, infinite beyond the largest (E4M3: 448)."""
    x = np.asarray(x, dtype=np.float64)
    if dtype not in FLOATS:
        return x
    bits, least = FLOATS[dtype]
    with np.errstate(all="ignore"):
        exponent = np.where(np.isfinite(x) & (x != 0), np.frexp(x)[1] - 1, least)
        quantum = np.exp2(np.maximum(exponent, least) - bits)
        y = np.rint(x / quantum) * quantum
        over = np.abs(y) > LARGEST[dtype]
        y = np.where(over, np.copysign(LARGEST[dtype] if dtype == "f8_e4m3" else np.inf, x), y)
    return np.where(np.isfinite(x), y, x)


def to_bytes(x, dtype):
    """The little-endian bytes of numbers that `dtype` holds exactly."""
    x = np.asarray(x)
    if dtype == "f32":
        return x.astype("<f4").tobytes()
    if dtype == "f16":
        with np.errstate(over="ignore"):
            return x.astype("<f2").tobytes()
    if dtype == "bf16":
        return (x.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if dtype == "f8_e4m3":
        magnitude = np.abs(x.astype(np.float64))
        table = np.array([e4m3(code) for code in range(127)])
        code = np.searchsorted(table, magnitude)
        assert np.all(table[code] == magnitude)
        return (code | (np.signbit(x) * 128)).astype("<u1").tobytes()
    return x.astype({"i8": "<i1", "u8": "<u1", "i32": "<i4", "i64": "<i8", "bool": "<u1"}[dtype]).tobytes()


def e4m3(code):
    exponent, mantissa = code >> 3 & 15, code & 7
    return (8 + mantissa) * 2.0 ** (exponent - 10) if exponent else mantissa * 2.0 ** -9


def hashed(shape, seed, scale, dtype="bf16"):
    """Numbers that the test makes again instead of reading them: element i is (splitmix64(seed + i * step) >> 40) reduced
    to -128..128 (int8: -127..127) times `scale`, a power of two. All are exact in every dtype here but E4M3."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        step = np.uint64(0x9E3779B97F4A7C15)
        z = np.uint64(seed) + np.arange(count, dtype=np.uint64) * step + step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    half = 127 if dtype == "i8" else 128
    k = (z >> np.uint64(40)) % np.uint64(2 * half + 1)
    return ((k.astype(np.int64) - half) * float(scale)).reshape(shape)


class View:
    """Where the elements of a shape lie in a buffer: strides, offset and size in elements."""

    def __init__(self, shape, strides, offset=0, size=None):
        self.shape, self.strides, self.offset = list(shape), list(strides), offset
        last = offset + sum((d - 1) * s for d, s in zip(shape, strides)) if np.prod(shape) else offset
        self.size = size or last + 1

    def indices(self):
        at = np.full(self.shape, self.offset, dtype=np.int64)
        for axis, (d, s) in enumerate(zip(self.shape, self.strides)):
            at += (np.arange(d) * s).reshape([-1 if i == axis else 1 for i in range(len(self.shape))])
        return at


def contiguous(shape, offset=0, after=0):
    strides, run = [], 1
    for d in reversed(shape):
        strides.insert(0, run)
        run *= d
    return View(shape, strides, offset, offset + run + after)


def swapped(shape, offset=0):
    """The last two dimensions lie the other way round, as a transposed matrix does."""
    view = contiguous(list(shape[:-2]) + [shape[-1], shape[-2]], offset)
    view.shape[-1], view.shape[-2] = view.shape[-2], view.shape[-1]
    view.strides[-1], view.strides[-2] = view.strides[-2], view.strides[-1]
    return view


def spaced(shape, gap, offset=0):
    """Rows of the last dimension with `gap` elements between them that belong to nobody."""
    row = shape[-1] + gap
    outer = contiguous(shape[:-1])
    return View(shape, [s * row for s in outer.strides] + [1], offset, offset + int(np.prod(shape[:-1])) * row)


def permuted(shape, order, offset=0):
    """Dimension i of the view is dimension order[i] of a contiguous tensor."""
    base = [0] * len(shape)
    for i, at in enumerate(order):
        base[at] = shape[i]
    inner = contiguous(base, offset)
    return View(shape, [inner.strides[at] for at in order], offset, inner.size)


def fractal_nz(x, bits):
    """FRACTAL_NZ: offset(r, c) = ((c / c0) * R1 + r / 16) * 16 * c0 + (r % 16) * c0 + c % c0 with c0 = 32 bytes and
    R1 = ceil(R / 16); padding is zero. Returns the buffer of the last two dimensions, those before it contiguous."""
    *outer, rows, columns = x.shape
    c0 = 256 // bits
    r1, c1 = -(-rows // 16), -(-columns // c0)
    out = np.zeros(outer + [r1 * c1 * 16 * c0], dtype=np.float64)
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    out[..., ((c // c0) * r1 + r // 16) * 16 * c0 + (r % 16) * c0 + c % c0] = x
    return out, [*outer, c1, r1, 16, c0]


# Filler between the elements of a view, so that one who reads it is found out; bytes 0x7f make a NaN of every float.
FILLER = 0x7F


class Case:
    def __init__(self, name, op, **attributes):
        self.name, self.op, self.attributes, self.tensors, self.data = name, op, attributes, [], {}

    def _store(self, key, x, dtype, view):
        width = BITS[dtype] // 8
        buffer = np.full((view.size, width), FILLER, dtype=np.uint8)
        raw = np.frombuffer(to_bytes(x, dtype), dtype=np.uint8).reshape(-1, width)
        if raw.shape[0]:
            buffer[view.indices().reshape(-1)] = raw
        self.data[key] = (dtype, [view.size], buffer.tobytes())
        return key

    def _entry(self, name, role, x, dtype, view, extra):
        view = view or contiguous(x.shape)
        assert list(view.shape) == list(x.shape), (self.name, name)
        entry = {"name": name, "role": role, "dtype": dtype, "shape": list(x.shape)}
        plain = contiguous(x.shape)
        if view.strides != plain.strides:
            entry["strides"] = view.strides
        if view.offset:
            entry["offset"] = view.offset
        if view.size != plain.size:
            entry["size"] = view.size
        entry.update(extra)
        self.tensors.append(entry)
        return entry, view

    def input(self, name, x, dtype, view=None, **extra):
        """x as numbers of dtype, which are also returned (float64), for the golden to begin with."""
        x = rounded(x, dtype)
        entry, view = self._entry(name, "in", x, dtype, view, extra)
        entry["data"] = self._store(name, x, dtype, view)
        return x

    def generated(self, name, shape, dtype, seed, scale=2.0 ** -6, view=None, nan=(), **extra):
        """An input that the test makes by `hashed`. `nan`: ranges of elements that are NaN instead."""
        x = hashed(shape, seed, scale, dtype)
        assert np.array_equal(rounded(x, dtype), x)
        entry, view = self._entry(name, "in", x, dtype, view, extra)
        entry["fill"] = {"kind": "hash", "seed": seed, "scale": scale, "nan": [list(r) for r in nan]}
        flat = x.reshape(-1)
        for begin, end in nan:
            flat[begin:end] = np.nan
        return x

    def upper_triangle(self, name, side, dtype="bool"):
        """side x side ones above the diagonal, the mask that fused attention asks for."""
        self._entry(name, "in", np.zeros((side, side)), dtype, None, {})[0]["fill"] = {"kind": "triu"}

    def nz(self, name, x, dtype, shape=None, **extra):
        """An input in FRACTAL_NZ; `shape` and `strides` in extra give a view other than the matrix's own."""
        x = rounded(x, dtype)
        buffer, storage = fractal_nz(x, BITS[dtype])
        entry, _ = self._entry(name, "in", x, dtype, None, {"format": 29, "storage": storage, **extra})
        entry["size"] = buffer.size
        if shape:
            entry["shape"] = list(shape)
        entry["data"] = self._store(name, buffer.reshape(-1), dtype, contiguous([buffer.size]))
        return x

    def output(self, name, y, dtype, view=None, absolute=0.0, ulps=0, share=None, before=None, count=None, **extra):
        """Expected: within `absolute`, or within `ulps` units in the last place of dtype beyond it. Of a 16-bit result with
        a tolerance only `share` of the elements may differ at all: who rounds twice is found out. `before`: the contents
        that an in-place operand had. `count`: only so many elements are defined."""
        y = rounded(np.asarray(y, dtype=np.float64), dtype)
        entry, view = self._entry(name, "ref" if before is not None else "out", y, dtype, view, extra)
        entry["want"] = self._store(name + ".want", y, dtype, view)
        if before is not None:
            entry["data"] = self._store(name, rounded(before, dtype), dtype, view)
        if share is None and ulps and BITS[dtype] == 16:
            share = 0.05
        for key, value in (("absolute", absolute), ("ulps", ulps), ("share", share), ("count", count)):
            if value:
                entry[key] = value
        return y

    def absent(self, name):
        """A null operand; said so that a misspelt name is an error and not a null."""
        self.tensors.append({"name": name, "role": "null"})


def write(folder, family, source, cases):
    """FAMILY.json: what each case is. FAMILY.safetensors: CASE.TENSOR (inputs) and CASE.TENSOR.want."""
    names = [c.name for c in cases]
    assert len(set(names)) == len(names)
    with open(folder / (family + ".json"), "w", encoding="utf-8") as out:
        out.write('{"source": %s,\n "cases": [\n' % json.dumps(source))
        for i, c in enumerate(cases):
            case = {"name": c.name, "op": c.op, "attributes": c.attributes, "tensors": c.tensors}
            for t in case["tensors"]:
                for key in ("data", "want"):
                    if key in t:
                        t[key] = c.name + "." + t[key]
            out.write("  " + json.dumps(case, separators=(",", ":")) + (",\n" if i + 1 < len(cases) else "\n"))
        out.write(" ]}\n")
    header, blobs, at = {}, [], 0
    for c in cases:
        for key, (dtype, shape, raw) in c.data.items():
            header[c.name + "." + key] = {"dtype": FILE_DTYPE[dtype], "shape": shape,
                                          "data_offsets": [at, at + len(raw)]}
            blobs.append(raw)
            at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / (family + ".safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return at


def sum_error(magnitudes, terms):
    """How far a float32 sum of `terms` products may be from the exact one in any order: terms * 2^-24 * sum |a b|."""
    return float(np.max(magnitudes)) * terms * 2.0 ** -24 if np.size(magnitudes) else 0.0
