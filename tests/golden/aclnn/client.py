"""Operators that ggml-cann calls and Qiao does not, one tensor at a time: functions, comparisons, movement, reductions.
NumPy's semantics (and PyTorch's documented ones where NumPy has no such function), written apart from the emulator."""

import math

import numpy as np

from golden import Case, View, contiguous, permuted, rounded, spaced, swapped

erf = np.vectorize(math.erf)


def normal(seed, *shape, scale=1.0, dtype="f32"):
    return rounded(np.random.default_rng(seed).normal(0, scale, shape), dtype)


def make(name, op, inputs, outputs, **attributes):
    """inputs: (name, values, dtype[, view]); outputs: (name, values, dtype, keywords of Case.output)."""
    c = Case("client." + name, op, **attributes)
    for entry in inputs:
        c.input(entry[0], np.asarray(entry[1], dtype=float), entry[2], view=entry[3] if len(entry) > 3 else None)
    for n, values, dtype, extra in outputs:
        c.output(n, values, dtype, **extra)
    return c


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def functions():
    cases = []
    table = (("Exp", np.exp), ("Sqrt", lambda x: np.sqrt(np.abs(x))), ("Log", lambda x: np.log(np.abs(x))), ("Neg", lambda x: -x),
             ("Sign", np.sign), ("Relu", lambda x: np.maximum(x, 0)), ("Sigmoid", sigmoid), ("Silu", lambda x: x * sigmoid(x)),
             ("Tanh", np.tanh), ("Hardsigmoid", hard_sigmoid), ("Hardswish", lambda x: x * hard_sigmoid(x)), ("Gelu", gelu))
    for i, (op, f) in enumerate(table):
        for dtype, view, scale in (("f32", None, 3), ("f16", spaced((3, 4, 5), 2, 1), 3), ("bf16", permuted((3, 4, 5), [2, 0, 1]), 3)):
            x = normal(1000 + i, 3, 4, 5, scale=scale, dtype=dtype)
            if op in ("Sqrt", "Log"):
                x = np.abs(x)
            exact = op in ("Neg", "Sign", "Relu")
            cases.append(make(f"{op}_{dtype}", op, [("self", x, dtype, view)],
                              [("out", f(x), dtype, {} if exact else {"absolute": 4e-6 if dtype == "f32" else 2e-7, "ulps": 2 if dtype == "f32" else 1,
                                                                      "share": 1.0})]))
    x = normal(1100, 4, 7, scale=4)
    tolerance = {"absolute": 2e-6, "ulps": 2, "share": 1.0}
    cases += [
        make("GeluV2_erf", "GeluV2", [("self", x, "f32")], [("out", gelu(x), "f32", tolerance)], approximate=0),
        make("GeluV2_tanh", "GeluV2", [("self", x, "f32")], [("out", gelu_tanh(x), "f32", tolerance)], approximate=1),
        make("Elu", "Elu", [("self", x, "f32")],
             [("out", 1.5 * np.where(x > 0, x, 2.0 * np.expm1(0.5 * x)), "f32", tolerance)], alpha=2.0, scale=1.5, inputScale=0.5),
        make("LeakyRelu", "LeakyRelu", [("self", x, "f32")], [("out", np.where(x > 0, x, x * 0.125), "f32", {})], negativeSlope=0.125),
        make("Softplus", "Softplus", [("self", x * 8, "f32")],
             [("out", np.where(2 * x * 8 > 20, x * 8, np.log1p(np.exp(np.minimum(2 * x * 8, 30))) / 2), "f32", tolerance)], beta=2.0, threshold=20.0),
        make("GtScalar", "GtScalar", [("self", x, "f32")], [("out", x > 0.25, "f32", {})], other=0.25),
        make("GtScalar_bool", "GtScalar", [("self", [-1, 0, 1, 2], "i32")], [("out", [0, 0, 1, 1], "bool", {})], other=0.0),
        make("EqTensor", "EqTensor", [("self", [[1, 2, 3], [4, 5, 6]], "i32"), ("other", [1, 5, 6], "i32")],
             [("out", [[1, 0, 0], [0, 1, 1]], "i32", {})]),
        make("ClampMin", "ClampMin", [("self", x, "f32")], [("out", np.maximum(x, -0.5), "f32", {})], min=-0.5),
        make("PowScalarTensor", "PowScalarTensor", [("exponent", [0, 1, -2, 0.5, 3], "f32")],
             [("out", 0.25 ** np.array([0, 1, -2, 0.5, 3]), "f32", {"ulps": 1, "share": 1.0})], base=0.25),
    ]
    left, right = normal(1110, 3, 6, scale=2, dtype="f16"), normal(1111, 3, 6, dtype="f16")
    for approximate, f in ((0, gelu_tanh), (1, gelu)):
        for first in (True, False):
            gate, value = (left, right) if first else (right, left)
            cases.append(make(f"GeGlu_{approximate}_{int(first)}", "GeGluV3", [("self", np.concatenate([left, right], 1), "f16")],
                              [("out", f(gate) * value, "f16", {"absolute": 1e-6, "ulps": 1, "share": 0.2}),
                               ("outGelu", f(gate), "f16", {"absolute": 1e-6, "ulps": 1, "share": 0.2})],
                              dim=1, approximate=approximate, activateLeft=first))
    return cases


def in_place():
    cases = []
    x, y = normal(1120, 3, 4), normal(1121, 4, dtype="f16")

    def case(name, op, after, inputs=(), **attributes):
        cases.append(make(name, op, inputs, [("selfRef", after, "f32", {"before": x, "view": spaced((3, 4), 3, 2),
                                                                          "absolute": 1e-6, "ulps": 2, "share": 1.0})], **attributes))

    other = [("other", y, "f16")]
    case("InplaceAdd", "InplaceAdd", x + 2 * y, other, alpha=2.0)
    case("InplaceSub", "InplaceSub", x - 2 * y, other, alpha=2.0)
    case("InplaceMul", "InplaceMul", x * y, other)
    case("InplaceDiv", "InplaceDiv", x / y, other)
    case("InplaceAdds", "InplaceAdds", x + 3 * 0.75, other=0.75, alpha=3.0)
    case("InplaceSubs", "InplaceSubs", x - 3 * 0.75, other=0.75, alpha=3.0)
    case("InplaceMuls", "InplaceMuls", x * 0.75, other=0.75)
    case("InplaceDivs", "InplaceDivs", x / 0.7, other=float(np.float32(0.7)))
    case("InplaceCos", "InplaceCos", np.cos(x))
    case("InplaceSin", "InplaceSin", np.sin(x))
    case("InplaceExp", "InplaceExp", np.exp(x))
    case("InplaceClampMax", "InplaceClampMax", np.minimum(x, 0.25), max=0.25)
    case("InplaceThreshold", "InplaceThreshold", np.where(x <= 0.5, -2, x), threshold=0.5, value=-2.0)
    case("InplaceTriu", "InplaceTriu", np.triu(x, 1), diagonal=1)
    power = np.abs(x)
    cases.append(make("InplacePowTensorTensor", "InplacePowTensorTensor", [("exponent", [2, 0.5, -1, 0], "f32")],
                      [("selfRef", power ** np.array([2, 0.5, -1, 0]), "f32", {"before": power, "ulps": 2, "share": 1.0})]))
    rows = normal(1130, 5, 3, dtype="bf16")
    source = normal(1131, 3, 3, dtype="bf16")
    after = rows.copy()
    after[[4, 0, 4]] = source
    for index in ("i32", "i64"):
        cases.append(make("InplaceIndexCopy_" + index, "InplaceIndexCopy", [("index", [4, 0, 4], index), ("source", source, "bf16")],
                          [("selfRef", after, "bf16", {"before": rows})], dim=0))
    after = rows.copy()
    after[:, [2, 0]] = source[:1, :1]
    cases.append(make("InplaceIndexCopy_columns", "InplaceIndexCopy",
                      [("index", [2, 0], "i64"), ("source", np.full((5, 2), source[0, 0]), "bf16", View([5, 2], [0, 0]))],
                      [("selfRef", after, "bf16", {"before": rows})], dim=-1))
    cases.append(make("InplaceIndexCopy_none", "InplaceIndexCopy", [("index", np.zeros(0), "i64"), ("source", np.zeros((0, 3)), "bf16")],
                      [("selfRef", rows, "bf16", {"before": rows})], dim=0))
    after = rows.copy()
    after[[1, -1]] = 0.5
    cases.append(make("InplaceIndexFillTensor", "InplaceIndexFillTensor", [], [("selfRef", after, "bf16", {"before": rows})],
                      dim=0, index=[1, -1], value=0.5))
    return cases


def movement():
    cases = []
    x = normal(1140, 2, 3, 4)
    h = normal(1141, 2, 3, 4, dtype="f16")
    integers = np.arange(24).reshape(2, 3, 4) - 7

    for dim in (0, 1, -1):
        cases.append(make(f"Cat_{dim}".replace("-", "m"), "Cat", [("tensors.0", h, "f16", swapped((2, 3, 4))), ("tensors.1", h[:, :, :] * 2, "f16")],
                          [("out", np.concatenate([h, h * 2], dim), "f16", {})], dim=dim))
    cases.append(make("Cat_i64_uneven", "Cat", [("tensors.0", integers, "i64"), ("tensors.1", integers[:, :1], "i64"), ("tensors.2", integers[:, 1:], "i64")],
                      [("out", np.concatenate([integers, integers[:, :1], integers[:, 1:]], 1), "i64", {})], dim=1))
    cases.append(make("Cat_i8_with_nothing", "Cat", [("tensors.0", np.zeros(0), "i8"), ("tensors.1", integers, "i8")],
                      [("out", integers, "i8", {})], dim=2))
    for name, (start, end, step) in (("head", (0, 2, 1)), ("tail", (-3, 99, 2)), ("none", (3, 1, 1))):
        cases.append(make("Slice_" + name, "Slice", [("self", x, "f32", permuted((2, 3, 4), [1, 2, 0]))],
                          [("out", x[:, :, start:end:step], "f32", {})], dim=-1, start=start, end=end, step=step))
    cases.append(make("Repeat", "Repeat", [("self", h, "f16")], [("out", np.tile(h, (2, 1, 3)), "f16", {})], repeats=[2, 1, 3]))
    cases.append(make("Repeat_more_dimensions", "Repeat", [("self", integers, "i32", swapped((2, 3, 4)))],
                      [("out", np.tile(integers, (2, 1, 3, 1)), "i32", {"view": spaced((2, 2, 9, 4), 1)})], repeats=[2, 1, 3, 1]))
    for dim in (0, 2):
        y = np.repeat(x, 3, dim)
        cases.append(make(f"RepeatInterleave_{dim}", "RepeatInterleaveIntWithDim", [("self", x, "f32")], [("out", y, "f32", {})],
                          repeats=3, dim=dim, outputSize=y.shape[dim]))
    cases.append(make("Roll", "Roll", [("self", x, "f32")], [("out", np.roll(x, (1, -2), (0, 2)), "f32", {})], shifts=[1, -2], dims=[0, 2]))
    cases.append(make("Roll_flat", "Roll", [("self", x, "f32", swapped((2, 3, 4)))], [("out", np.roll(x, 5), "f32", {})], shifts=[5], dims=[]))
    cases.append(make("ConstantPadNd", "ConstantPadNd", [("self", x, "f32", swapped((2, 3, 4)))],
                      [("out", np.pad(x, ((0, 0), (2, 1), (1, 3)), constant_values=-1.5), "f32", {})], pad=[1, 3, 2, 1], value=-1.5))
    cases.append(make("ConstantPadNd_cut", "ConstantPadNd", [("self", h, "f16")],
                      [("out", np.pad(h[:, :, 1:], ((1, 0), (0, 0), (0, 2)), constant_values=0), "f16", {})], pad=[-1, 2, 0, 0, 1, 0], value=0.0))
    cases.append(make("ReflectionPad1d", "ReflectionPad1d", [("self", x, "f32")],
                      [("out", np.pad(x, ((0, 0), (0, 0), (3, 2)), mode="reflect"), "f32", {})], padding=[3, 2]))
    image = normal(1142, 2, 2, 3, 4)
    rows, cols = np.arange(5) * 3 // 5, np.arange(9) * 4 // 9
    cases.append(make("UpsampleNearest2d", "UpsampleNearest2d", [("self", image, "f32", permuted((2, 2, 3, 4), [0, 1, 3, 2]))],
                      [("out", image[:, :, rows][:, :, :, cols], "f32", {})], outputSize=[5, 9]))
    cases.append(make("Arange", "Arange", [], [("out", 0.5 + 0.75 * np.arange(7), "f32", {"ulps": 1, "share": 1.0})], start=0.5, end=5.5, step=0.75))
    cases.append(make("Arange_down_f16", "Arange", [], [("out", 3.0 - np.arange(5), "f16", {"view": contiguous((5,), 3, 2)})], start=3.0, end=-2.0, step=-1.0))
    return cases


def reductions():
    cases = []
    x = normal(1150, 3, 4, 5)
    h = normal(1151, 3, 4, 5, dtype="bf16")
    integers = np.random.default_rng(1152).integers(-2 ** 30, 2 ** 30, (3, 4, 5))
    near = {"absolute": 4e-6, "ulps": 2, "share": 1.0}
    for name, dims, keep in (("last", [-1], True), ("two", [0, 2], False), ("all", [], True)):
        axes = tuple(dims) if dims else None
        cases.append(make("ReduceSum_" + name, "ReduceSum", [("self", x, "f32", permuted((3, 4, 5), [1, 2, 0]))],
                          [("out", x.sum(axes, keepdims=keep), "f32", near)], dims=dims, keepDims=keep, dtype="f32"))
        cases.append(make("Mean_" + name, "Mean", [("self", h, "bf16")], [("out", h.mean(axes, keepdims=keep), "bf16", {"absolute": 1e-6, "ulps": 1})],
                          dims=dims, keepDims=keep, dtype="bf16"))
        for p in (2.0, 1.0, 3.0, float("inf"), 0.0):
            a = np.abs(x)
            if p == 0:
                y = (a != 0).sum(axes, keepdims=keep)
            elif p == float("inf"):
                y = a.max(axes, keepdims=keep)
            else:
                y = (a ** p).sum(axes, keepdims=keep) ** (1 / p)
            if name == "last" or p == 2:
                cases.append(make(f"Norm_{name}_{p}", "Norm", [("self", x, "f32")], [("out", y, "f32", near)], p=p if p != float("inf") else 1e39,
                                  dims=dims, keepDims=keep))
    cases.append(make("ReduceSum_i32_to_i64", "ReduceSum", [("self", integers, "i32")], [("out", integers.sum(axis=2), "i64", {})],
                      dims=[2], keepDims=False, dtype="i64"))
    cases.append(make("ReduceSum_one_element", "ReduceSum", [("self", x.reshape(-1), "f32")], [("out", x.reshape(-1).sum(keepdims=True), "f32", near)],
                      dims=[0], keepDims=False, dtype="f32"))
    for dim in (0, 2):
        cases.append(make(f"Cumsum_{dim}", "Cumsum", [("self", x, "f32", swapped((3, 4, 5)))], [("out", x.cumsum(dim), "f32", near)], dim=dim, dtype="f32"))
    ties = np.random.default_rng(1153).integers(0, 4, (3, 9)).astype(float)
    for descending in (False, True):
        order = np.argsort(-ties if descending else ties, 1, kind="stable")
        cases.append(make(f"Argsort_{int(descending)}", "Argsort", [("self", ties, "f32")], [("out", order, "i64", {})], dim=-1, descending=descending))
    cases.append(make("Argsort_rows_f16", "Argsort", [("self", h, "f16")], [("out", np.argsort(h, 0, kind="stable"), "i64", {})], dim=0, descending=False))
    features, labels = normal(1154, 4, 6, scale=3), np.abs(normal(1155, 4, 6))
    labels = rounded(labels / labels.sum(1, keepdims=True), "f32")
    shifted = features - features.max(1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    cases.append(make("SoftmaxCrossEntropy", "SoftmaxCrossEntropyWithLogits", [("features", features, "f32"), ("labels", labels, "f32")],
                      [("loss", -(labels * log_share).sum(1), "f32", near), ("backprop", np.exp(log_share) - labels, "f32", near)]))
    return cases
