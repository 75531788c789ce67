"""Elementwise operators, copies, reductions and lookups that Qiao uses: the semantics are NumPy's and IEEE 754's."""

import numpy as np

from golden import Case, View, contiguous, permuted, rounded, spaced, swapped

NAN, INF = np.nan, np.inf


def random(seed):
    return np.random.default_rng(seed)


def arithmetic():
    cases = []

    def case(name, op, operands, compute, out="f32", scalars=None, absolute=0.0, ulps=0, out_view=None):
        """operands: (name, values, dtype, view or None)."""
        c = Case("arithmetic." + name, op, **(scalars or {}))
        values = [c.input(n, np.asarray(v, dtype=float), d, view=view) for n, v, d, view in operands]
        with np.errstate(all="ignore"):
            y = compute(*values)
        c.output("out", y, out, absolute=absolute, ulps=ulps, view=out_view(y.shape) if out_view else None, share=1.0
                 if ulps else None)
        cases.append(c)

    def normal(seed, *shape, dtype="f32"):
        return rounded(random(seed).normal(0, 1, shape), dtype)

    special = np.array([0.0, -0.0, 1, -1, INF, -INF, NAN, 1e-45, 3e38, -3e38])
    for dtype, seed in (("f32", 201), ("bf16", 202), ("f16", 203)):
        a, b = normal(seed, 3, 5, dtype=dtype), normal(seed + 50, 3, 5, dtype=dtype)
        # One operation on f32 is exact to the last bit; 16-bit ones are f32 operations rounded.
        case("add_" + dtype, "Add", [("self", a, dtype, None), ("other", b, dtype, None)], lambda x, y: x + y, dtype,
             {"alpha": 1.0})
        case("sub_" + dtype, "Sub", [("self", a, dtype, None), ("other", b, dtype, None)], lambda x, y: x - y, dtype,
             {"alpha": 1.0})
        case("mul_" + dtype, "Mul", [("self", a, dtype, None), ("other", b, dtype, None)], lambda x, y: x * y, dtype)
        case("div_" + dtype, "Div", [("self", a, dtype, None), ("other", b, dtype, None)], lambda x, y: x / y, dtype,
             ulps=1)
        case("muls_" + dtype, "Muls", [("self", a, dtype, None)], lambda x: x * 0.375, dtype, {"other": 0.375})
        case("divs_" + dtype, "Divs", [("self", a, dtype, None)], lambda x: x / 3, dtype, {"other": 3.0}, ulps=1)
        case("adds_" + dtype, "Adds", [("self", a, dtype, None)], lambda x: x + 2 * 0.75, dtype,
             {"other": 0.75, "alpha": 2.0})
        case("abs_" + dtype, "Abs", [("self", a, dtype, None)], np.abs, dtype)
        case("cos_" + dtype, "Cos", [("self", a * 4, dtype, None)], np.cos, dtype, absolute=2.0 ** -22, ulps=1)
        case("sin_" + dtype, "Sin", [("self", a * 4, dtype, None)], np.sin, dtype, absolute=2.0 ** -22, ulps=1)
    # The halves of 1 and 3 units of bf16: ties go to even.
    case("add_bf16_ties", "Add", [("self", [1.0, 1.0078125, 256, 258], "bf16", None),
                                  ("other", [2.0 ** -8, 2.0 ** -8, 1, 1], "bf16", None)], lambda x, y: x + y, "bf16",
         {"alpha": 1.0})
    case("add_alpha", "Add", [("self", normal(211, 4), "f32", None), ("other", normal(212, 4), "f32", None)],
         lambda x, y: x + y * -0.5, "f32", {"alpha": -0.5})
    case("add_special", "Add", [("self", special, "f32", None), ("other", special[::-1], "f32", None)],
         lambda x, y: x + y, "f32", {"alpha": 1.0})
    case("mul_special", "Mul", [("self", special, "f32", None), ("other", special[::-1], "f32", None)],
         lambda x, y: x * y)
    case("div_special", "Div", [("self", special, "f32", None), ("other", special[::-1], "f32", None)],
         lambda x, y: x / y, ulps=1)
    case("abs_special", "Abs", [("self", special, "f32", None)], np.abs)
    case("add_broadcast", "Add", [("self", normal(213, 3, 1, 4), "f32", None), ("other", normal(214, 2, 1), "f32", None)],
         lambda x, y: x + y, "f32", {"alpha": 1.0})
    case("add_strided_views", "Add",
         [("self", normal(215, 3, 4), "f32", swapped((3, 4), 5)), ("other", normal(216, 3, 4), "f32", spaced((3, 4), 3, 2))],
         lambda x, y: x + y, "f32", {"alpha": 1.0}, out_view=lambda s: permuted(s, [1, 0], 1))
    case("add_zero_stride", "Add", [("self", normal(217, 3, 4), "f32", None),
                                    ("other", np.repeat(normal(218, 3, 1), 4, 1), "f32", View([3, 4], [1, 0]))],
         lambda x, y: x + y, "f32", {"alpha": 1.0})
    case("mul_eight_dimensions", "Mul", [("self", normal(219, 1, 2, 1, 2, 1, 3, 2, 2), "f32",
                                          permuted((1, 2, 1, 2, 1, 3, 2, 2), [7, 6, 5, 4, 3, 2, 1, 0])),
                                         ("other", normal(220, 2, 1, 3, 2, 2), "f32", None)], lambda x, y: x * y)
    case("mul_empty", "Mul", [("self", np.zeros((0, 4)), "f32", None), ("other", np.zeros((1, 4)), "f32", None)],
         lambda x, y: x * y)
    case("mul_bf16_by_f32", "Mul", [("self", normal(221, 6, dtype="bf16"), "bf16", None), ("other", normal(222, 6), "f32", None)],
         lambda x, y: x * y, "bf16")
    case("mul_f32_by_f16", "Mul", [("self", normal(223, 6), "f32", None), ("other", normal(224, 6, dtype="f16"), "f16", None)],
         lambda x, y: x * y)
    case("mul_i32_by_f32", "Mul", [("self", [3, -7, 0, 100000], "i32", None), ("other", [0.5, 0.25, 3, 1], "f32", None)],
         lambda x, y: x * y)
    case("mul_i8_by_f16", "Mul", [("self", [3, -128, 127], "i8", None), ("other", [0.5, 0.25, 3], "f16", None)],
         lambda x, y: x * y)
    case("add_i32", "Add", [("self", [1, -5, 2 ** 24 + 1], "i32", None), ("other", [2, 3, 2], "i32", None)],
         lambda x, y: x + y, "i32", {"alpha": 1})
    case("add_i64", "Add", [("self", [1, -5, 2.0 ** 40 + 1], "i64", None), ("other", [2, 3, 2], "i64", None)],
         lambda x, y: x + y, "i64", {"alpha": 1})
    return cases


def in_place():
    cases = []

    def case(name, op, before, after, dtype, scalars=None, view=None, inputs=()):
        c = Case("in_place." + name, op, **(scalars or {}))
        for n, v, d, src_view in inputs:
            c.input(n, np.asarray(v, dtype=float), d, view=src_view)
        before = np.asarray(before, dtype=float)
        c.output("selfRef", after, dtype, before=before, view=view)
        cases.append(c)

    x = random(231).normal(0, 1, (3, 4))
    y = rounded(random(232).normal(0, 1, (3, 4)), "bf16")
    case("copy", "InplaceCopy", np.zeros((3, 4)), y, "bf16", inputs=[("src", y, "bf16", None)])
    case("copy_transposed", "InplaceCopy", np.zeros((3, 4)), y, "bf16", inputs=[("src", y, "bf16", swapped((3, 4)))])
    case("copy_into_gaps", "InplaceCopy", np.zeros((3, 4)), y, "bf16", view=spaced((3, 4), 5, 3),
         inputs=[("src", y, "bf16", None)])
    case("copy_broadcast", "InplaceCopy", np.zeros((3, 4)), np.repeat(y[:1], 3, 0), "bf16",
         inputs=[("src", y[:1], "bf16", None)])
    case("copy_f32_to_bf16", "InplaceCopy", np.zeros((3, 4)), rounded(rounded(x, "f32"), "bf16"), "bf16",
         inputs=[("src", x, "f32", None)])
    case("copy_i32", "InplaceCopy", np.zeros(3), [1, -2, 2 ** 31 - 1], "i32", inputs=[("src", [1, -2, 2 ** 31 - 1], "i32", None)])
    case("copy_i64", "InplaceCopy", np.zeros(2), [2 ** 40, -1], "i64", inputs=[("src", [2 ** 40, -1], "i64", None)])
    case("fill_f32", "InplaceFillScalar", x, np.full((3, 4), -1.5), "f32", {"value": -1.5})
    case("fill_bf16_view", "InplaceFillScalar", y, np.full((3, 4), 3.0), "bf16", {"value": 3.0}, view=swapped((3, 4), 2))
    case("fill_i32", "InplaceFillScalar", np.ones(5), np.full(5, 7.0), "i32", {"value": 7})
    case("zero", "InplaceZero", x, np.zeros((3, 4)), "f32")
    case("zero_gaps", "InplaceZero", x, np.zeros((3, 4)), "f32", view=spaced((3, 4), 2, 1))
    mask = random(233).integers(0, 2, (3, 4)).astype(float)
    for dtype, number in (("f32", -INF), ("bf16", -3.5), ("i32", -1)):
        before = rounded(x, dtype) if dtype != "i32" else np.rint(x * 10)
        case("masked_fill_" + dtype, "InplaceMaskedFillScalar", before, np.where(mask, number, before), dtype,
             {"value": "-inf" if number == -INF else number}, inputs=[("mask", mask, "bool", None)])
    case("masked_fill_broadcast", "InplaceMaskedFillScalar", x, np.where(mask[:1] > 0, 0, rounded(x, "f32")), "f32",
         {"value": 0.0}, inputs=[("mask", mask[:1], "bool", None)])
    case("masked_fill_view", "InplaceMaskedFillScalar", x, np.where(mask > 0, 9, rounded(x, "f32")), "f32", {"value": 9.0},
         view=spaced((3, 4), 3, 2), inputs=[("mask", mask, "bool", swapped((3, 4)))])
    return cases


def casts():
    cases = []

    def case(name, x, source, target, want, view=None):
        c = Case("cast." + name, "Cast", dtype=target)
        x = np.asarray(x, dtype=float)
        x = c.input("self", x, source, view=view(x.shape) if view else None)
        c.output("out", want(x) if callable(want) else np.asarray(want, dtype=float), target)
        cases.append(c)

    ties = [1.0, 1 + 2.0 ** -8, 1 + 3 * 2.0 ** -8, 1 + 2.0 ** -8 + 2.0 ** -20, -1 - 2.0 ** -8, 3.4e38, INF, -INF, NAN,
            1e-40, -0.0, 2.0 ** -133, 2.0 ** -134]
    case("f32_to_bf16", ties, "f32", "bf16", lambda x: x)
    case("f32_to_f16", [1 + 2.0 ** -11, 1 + 3 * 2.0 ** -11, 65504, 65519, 65520, -1e9, 2.0 ** -24, 2.0 ** -25, 3 * 2.0 ** -26,
                        NAN, INF, -0.0], "f32", "f16", lambda x: x)
    case("bf16_to_f32", [1.5, -2.0 ** -130, 3e38, INF, NAN], "bf16", "f32", lambda x: x)
    case("f16_to_f32", [1.5, 2.0 ** -24, 65504, -INF, NAN], "f16", "f32", lambda x: x)
    case("bf16_to_f16", [1.5, 1e-6, 70000.0, -2.0 ** -24], "bf16", "f16", lambda x: x)
    case("f32_to_i32", [0.9, -0.9, 2.5, -2.5, 100000.75], "f32", "i32", np.trunc)
    case("f32_to_i64", [0.9, -7.9, 2.0 ** 40], "f32", "i64", np.trunc)
    case("i32_to_f32", [0, -1, 2 ** 24 + 1, 2 ** 31 - 1], "i32", "f32", lambda x: x)
    case("i64_to_i32", [0, -1, 2 ** 31 - 1], "i64", "i32", lambda x: x)
    case("i32_to_i64", [0, -1, -2 ** 31], "i32", "i64", lambda x: x)
    case("f32_to_bool", [0, -0.0, 0.25, NAN, -3], "f32", "bool", [0, 0, 1, 1, 1])
    case("bool_to_f32", [0, 1, 1], "bool", "f32", lambda x: x)
    case("i8_to_f32", [-128, 127, 0], "i8", "f32", lambda x: x)
    case("i32_to_bf16", [257, 259, -1], "i32", "bf16", lambda x: x)
    case("transposed", random(241).normal(0, 1, (3, 5)), "f32", "bf16", lambda x: x, view=swapped)
    return cases


def selection():
    """Triangles, clamps, comparisons, what replaces NaN, reductions, lookups, permutations, softmax."""
    cases = []

    def case(name, op, operands, y, out="f32", absolute=0.0, ulps=0, out_view=None, **attributes):
        c = Case("selection." + name, op, **attributes)
        values = [c.input(n, np.asarray(v, dtype=float), d, view=view) for n, v, d, view in operands]
        y = np.asarray(y(*values) if callable(y) else y, dtype=float)
        c.output("out", y, out, absolute=absolute, ulps=ulps, view=out_view(y.shape) if out_view else None)
        cases.append(c)

    def normal(seed, *shape):
        return random(seed).normal(0, 1, shape)

    for diagonal in (0, 1, -2, 9, -9):
        for op, f in (("Triu", np.triu), ("Tril", np.tril)):
            case("%s_%d" % (op.lower(), diagonal), op, [("self", normal(251, 4, 5), "f32", None)],
                 lambda x, f=f, d=diagonal: f(x, d), diagonal=diagonal)
    case("triu_batch_bf16", "Triu", [("self", normal(252, 2, 3, 3), "bf16", swapped((2, 3, 3)))], lambda x: np.triu(x, 1), "bf16", diagonal=1)
    case("triu_ones_mask", "Triu", [("self", np.ones((6, 6)), "i8", None)], lambda x: np.triu(x, 1), "i8", diagonal=1)

    edge = [NAN, -INF, INF, -2, -0.5, 0.5, 2]
    case("clamp", "Clamp", [("self", edge, "f32", None)], lambda x: np.clip(x, -1, 1), min=-1.0, max=1.0)
    case("clamp_below", "Clamp", [("self", edge, "f32", None)], lambda x: np.maximum(x, -1), min=-1.0)
    case("clamp_above_bf16", "Clamp", [("self", edge, "bf16", None)], lambda x: np.minimum(x, 1), "bf16", max=1.0)
    case("clamp_i32", "Clamp", [("self", [-9, 0, 9], "i32", None)], [-3, 0, 3], "i32", min=-3, max=3)
    case("clamp_i64", "Clamp", [("self", [-9, 0, 9], "i64", None)], [0, 0, 9], "i64", min=0)
    case("clamp_min_above_max", "Clamp", [("self", [0.0, 5, -5], "f32", None)], [1, 1, 1], min=2.0, max=1.0)
    case("ne", "NeTensor", [("self", [1.0, 2, NAN, 0.0, INF], "f32", None), ("other", [1.0, 3, NAN, -0.0, INF], "f32", None)],
         [0, 1, 1, 0, 0], "bool")
    case("ne_broadcast_i32", "NeTensor", [("self", [[1, 2, 3], [3, 2, 1]], "i32", None), ("other", [2], "i32", None)],
         [[1, 0, 1], [1, 0, 1]], "bool")
    case("ne_i64", "NeTensor", [("self", [2.0 ** 40, 5], "i64", None), ("other", [2.0 ** 40 + 1, 5], "i64", None)], [1, 0], "bool")
    case("ne_bf16_view", "NeTensor", [("self", [[1, 2], [3, 4]], "bf16", swapped((2, 2))), ("other", [[1, 2], [0, 4]], "bf16", None)],
         [[0, 0], [1, 0]], "bool")
    odd = [NAN, INF, -INF, 1.5, -0.0, 0]
    case("nan_to_num", "NanToNum", [("self", odd, "f32", None)], [0.5, 9, -9, 1.5, -0.0, 0], nan=0.5, posinf=9.0, neginf=-9.0)
    case("nan_to_num_bf16", "NanToNum", [("self", odd, "bf16", None)], [0, 100, -100, 1.5, -0.0, 0], "bf16", nan=0.0,
         posinf=100.0, neginf=-100.0)
    case("nan_to_num_f16", "NanToNum", [("self", odd, "f16", None)], [0, 65504, -65504, 1.5, -0.0, 0], "f16", nan=0.0,
         posinf=65504.0, neginf=-65504.0)

    scores = normal(253, 3, 7)
    scores[0, [2, 5]] = 9.0  # a tie goes to the first
    case("argmax", "ArgMax", [("self", scores, "f32", None)], lambda x: x.argmax(-1), "i64", dim=-1, keepdim=False)
    case("argmax_i32_out", "ArgMax", [("self", scores, "f32", None)], lambda x: x.argmax(1), "i32", dim=1, keepdim=False)
    case("argmax_keep", "ArgMax", [("self", scores, "bf16", None)], lambda x: x.argmax(-1, keepdims=True), "i64", dim=-1,
         keepdim=True)
    case("argmax_first_dimension", "ArgMax", [("self", scores, "f32", None)], lambda x: x.argmax(0), "i64", dim=0, keepdim=False)
    case("argmax_all_equal", "ArgMax", [("self", np.zeros((2, 33)), "f32", None)], [0, 0], "i64", dim=-1, keepdim=False)
    case("argmax_minus_infinity", "ArgMax", [("self", [[-INF, -INF, -3.0], [-INF, -INF, -INF]], "f32", None)], [2, 0], "i64",
         dim=-1, keepdim=False)
    # As PyTorch has it: NaN is larger than anything.
    case("argmax_nan", "ArgMax", [("self", [[1.0, NAN, 9, NAN], [NAN, INF, 0, 1]], "f32", None)], [1, 0], "i64", dim=-1,
         keepdim=False)
    case("argmax_transposed", "ArgMax", [("self", scores, "f32", swapped((3, 7), 2))], lambda x: x.argmax(-1), "i64", dim=-1,
         keepdim=False)

    wide = normal(254, 2, 3, 4)
    case("amax_last", "Amax", [("self", wide, "f32", None)], lambda x: x.max(-1), dim=[-1], keepDim=False)
    case("amax_two_kept", "Amax", [("self", wide, "bf16", None)], lambda x: x.max((0, 2), keepdims=True), "bf16", dim=[0, 2],
         keepDim=True)
    case("amax_all", "Amax", [("self", wide, "f32", None)], lambda x: x.max(), dim=[], keepDim=False)
    case("amax_nan", "Amax", [("self", [[1, NAN, 2], [-INF, -INF, -INF]], "f32", None)], [NAN, -INF], dim=[1], keepDim=False)
    case("amax_i32", "Amax", [("self", [[-5, -7], [3, 2]], "i32", None)], [-5, 3], "i32", dim=[1], keepDim=False)

    table = normal(255, 9, 6)
    for dtype in ("i32", "i64"):
        ids = np.array([[8.0, 0, 3], [3, 3, 1]])
        case("embedding_" + dtype, "Embedding", [("weight", table, "bf16", None), ("indices", ids, dtype, None)],
             lambda w, i: w[i.astype(int)], "bf16")
        case("index_select_" + dtype, "IndexSelect", [("self", table, "f32", None), ("index", [8, 0, 0], dtype, None)],
             lambda w, i: w[i.astype(int)], dim=0)
        case("gather_" + dtype, "GatherV2", [("self", table, "f32", None), ("index", ids, dtype, None)],
             lambda w, i: w[i.astype(int)], dim=0)
    case("index_select_columns", "IndexSelect", [("self", table, "bf16", None), ("index", [5, 1], "i32", contiguous([2], 3))],
         lambda w, i: w[:, i.astype(int)], "bf16", dim=-1)
    case("index_select_view", "IndexSelect", [("self", table, "f32", swapped((9, 6), 4)), ("index", [7, 2], "i64", None)],
         lambda w, i: w[i.astype(int)], dim=0)
    case("index_select_i8", "IndexSelect", [("self", np.arange(12).reshape(3, 4), "i8", None), ("index", [2, 0], "i32", None)],
         lambda w, i: w[i.astype(int)], "i8", dim=0)
    case("index_select_none", "IndexSelect", [("self", table, "f32", None), ("index", [], "i32", None)],
         lambda w, i: w[i.astype(int)], dim=0)
    case("gather_columns", "GatherV2", [("self", table, "f32", None), ("index", [[5, 0], [1, 1]], "i32", None)],
         lambda w, i: w[:, i.astype(int)], dim=1)
    case("embedding_one", "Embedding", [("weight", table, "f32", None), ("indices", [4], "i32", None)],
         lambda w, i: w[i.astype(int)])

    case("permute", "Permute", [("self", wide, "f32", None)], lambda x: x.transpose(2, 0, 1), dims=[2, 0, 1])
    case("permute_view_into_view", "Permute", [("self", wide, "bf16", permuted((2, 3, 4), [2, 1, 0], 3))],
         lambda x: x.transpose(1, 2, 0), "bf16", out_view=lambda s: spaced(s, 3, 1), dims=[1, 2, 0])
    case("permute_negative", "Permute", [("self", wide, "f32", None)], lambda x: x.transpose(0, 2, 1), dims=[0, -1, -2])
    case("permute_i32", "Permute", [("self", np.arange(6).reshape(2, 3), "i32", None)], lambda x: x.T, "i32", dims=[1, 0])

    def softmax(x, axis):
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    rows = normal(256, 3, 4, 17) * 3
    for dtype in ("f32", "bf16", "f16"):
        extra = dict(absolute=2.0 ** -22) if dtype == "f32" else dict(ulps=1, absolute=2.0 ** -24)
        case("softmax_" + dtype, "Softmax", [("self", rows, dtype, None)], lambda x: softmax(x, -1), dtype, dim=-1, **extra)
    case("softmax_middle", "Softmax", [("self", rows, "f32", None)], lambda x: softmax(x, 1), dim=1, absolute=2.0 ** -22)
    case("softmax_large", "Softmax", [("self", [[1000.0, 999, -1000], [-1e30, -1e30, -1e30]], "f32", None)],
         lambda x: softmax(x, -1), dim=1, absolute=2.0 ** -22)
    case("softmax_masked", "Softmax", [("self", [[0.0, -INF, 1, -INF], [-INF, -INF, -INF, 2]], "f32", None)],
         lambda x: softmax(x, -1), dim=-1, absolute=2.0 ** -22)
    case("softmax_one_element", "Softmax", [("self", [[-7.0], [1e30]], "f32", None)], [[1], [1]], dim=-1)
    case("softmax_nan_stays_in_its_row", "Softmax", [("self", [[1.0, NAN, 2], [0.0, 0, 0]], "f32", None)],
         [[NAN, NAN, NAN], [1 / 3, 1 / 3, 1 / 3]], dim=-1, absolute=2.0 ** -22)
    case("softmax_view", "Softmax", [("self", rows[0], "f32", swapped((4, 17), 3))], lambda x: softmax(x, -1), dim=-1,
         absolute=2.0 ** -22, out_view=lambda s: spaced(s, 2, 1))
    return cases
