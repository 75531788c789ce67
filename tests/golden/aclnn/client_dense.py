"""Operators that ggml-cann calls and Qiao does not, with windows, weights or several tensors: normalisation, pooling,
convolution, triangular solves, products with integer weights, attention. Written apart from the emulator."""

import numpy as np

from client import make, normal
from golden import View, permuted, rounded, spaced, swapped

NEAR = {"absolute": 4e-6, "ulps": 2, "share": 1.0}


def norms():
    cases = []
    x, w, b = normal(1200, 3, 4, 6), normal(1201, 6), normal(1202, 6)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    y, rstd = (x - mean) / np.sqrt(var + 1e-5), 1 / np.sqrt(var + 1e-5)
    cases.append(make("LayerNorm", "LayerNorm", [("input", x, "f32", swapped((3, 4, 6)))], [("out", y, "f32", NEAR)], shape=[6], eps=1e-5))
    cases.append(make("LayerNorm_affine", "LayerNorm", [("input", x, "f32"), ("weight", w, "f32"), ("bias", b, "f32")],
                      [("out", y * w + b, "f32", NEAR), ("mean", mean, "f32", NEAR), ("rstd", rstd, "f32", NEAR)], shape=[6], eps=1e-5))
    flat = x.reshape(3, 24)
    y = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-3)
    cases.append(make("LayerNorm_two_dimensions", "LayerNorm", [("input", x, "f32")], [("out", y.reshape(3, 4, 6), "f32", NEAR)], shape=[4, 6], eps=1e-3))
    image, gamma, beta = normal(1203, 2, 6, 2, 5), normal(1204, 6), normal(1205, 6)
    groups = image.reshape(2, 3, 2 * 10)
    mean, rstd = groups.mean(2), 1 / np.sqrt(groups.var(2) + 1e-6)
    y = ((groups - mean[:, :, None]) * rstd[:, :, None]).reshape(image.shape)
    stats = [("mean", mean, "f32", NEAR), ("rstd", rstd, "f32", NEAR)]
    cases.append(make("GroupNorm", "GroupNorm", [("self", image, "f32")], [("out", y, "f32", NEAR)] + stats, N=2, C=6, HxW=10, group=3, eps=1e-6))
    cases.append(make("GroupNorm_affine", "GroupNorm", [("self", image, "f32"), ("gamma", gamma, "f32"), ("beta", beta, "f32")],
                      [("out", y * gamma[:, None, None] + beta[:, None, None], "f32", NEAR)] + stats, N=2, C=6, HxW=10, group=3, eps=1e-6))
    return cases


def windows(x, kernel, stride, pad, fill, dilation=(1, 1)):
    """[N, C, H, W] -> [N, C, outH, outW, kh * kw]; pad (top, left, bottom, right)."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[2]), (pad[1], pad[3])), constant_values=fill)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, (2, 3))[:, :, ::stride[0], ::stride[1], ::dilation[0], ::dilation[1]]
    return view.reshape(view.shape[:4] + (-1,))


def pooling():
    cases = []
    x = normal(1210, 2, 3, 7, 8)
    for kernel, stride, pad in (([2, 3], [1, 2], [0, 0]), ([3, 3], [2, 2], [1, 1])):
        both = pad + pad
        name = "%d%d" % tuple(kernel)
        sums, counts = windows(x, kernel, stride, both, 0), windows(np.ones_like(x), kernel, stride, both, 0)
        for include in (True, False):
            y = sums.sum(-1) / (kernel[0] * kernel[1] if include else counts.sum(-1))
            cases.append(make(f"AvgPool2d_{name}_{int(include)}", "AvgPool2d", [("self", x, "f32", permuted((2, 3, 7, 8), [0, 2, 3, 1]))],
                              [("out", y, "f32", NEAR)], kernelSize=kernel, strides=stride, paddings=pad, ceilMode=False, countIncludePad=include, divisorOverride=0))
        cases.append(make("MaxPool_" + name, "MaxPool", [("self", x, "f32")], [("out", windows(x, kernel, stride, both, -np.inf).max(-1), "f32", {})],
                          kernelShape=kernel, strides=stride, pads=both, dilations=[1, 1], ceilMode=0))
    cases.append(make("AvgPool2d_divisor", "AvgPool2d", [("self", x, "f32")], [("out", windows(x, [2, 2], [2, 2], [0] * 4, 0).sum(-1) / 3, "f32", NEAR)],
                      kernelSize=[2], strides=[], paddings=[0], ceilMode=False, countIncludePad=True, divisorOverride=3))
    # The last row of windows begins inside and ends beyond: 7 rows, stride 2, kernel 2.
    y = np.full((2, 3, 4, 4), -np.inf)
    for r in range(4):
        for c in range(4):
            y[:, :, r, c] = x[:, :, 2 * r:2 * r + 2, 2 * c:2 * c + 2].max((2, 3))
    cases.append(make("MaxPool_ceil", "MaxPool", [("self", x, "f32")], [("out", y, "f32", {})], kernelShape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0],
                      dilations=[1, 1], ceilMode=1))
    return cases


def convolutions():
    cases = []

    def convolve(x, w, stride, pad, dilation, groups):
        columns = windows(x, w.shape[2:], stride, [pad[0], pad[1], pad[0], pad[1]], 0, dilation)  # [N, C, H, W, taps]
        n, _, h, v, taps = columns.shape
        columns = columns.reshape(n, groups, -1, h, v, taps)
        kernels = w.reshape(groups, -1, w.shape[1], taps)
        return np.einsum("ngchvt,gkct->ngkhv", columns, kernels).reshape(n, -1, h, v)

    x, w, bias = normal(1220, 2, 4, 6, 7), normal(1221, 6, 2, 3, 2), normal(1222, 6)
    tolerance = {"absolute": 1e-5, "ulps": 2, "share": 1.0}
    y = convolve(x, w, (2, 1), (1, 1), (1, 2), 2) + bias[:, None, None]
    cases.append(make("Convolution_2d", "Convolution", [("input", x, "f32", swapped((2, 4, 6, 7))), ("weight", w, "f32"), ("bias", bias, "f32")], [("output", y, "f32", tolerance)],
                      stride=[2, 1], padding=[1, 1], dilation=[1, 2], transposed=False, outputPadding=[0, 0], groups=2, cubeMathType=0))
    line, taps = normal(1223, 2, 3, 9), normal(1224, 3, 1, 4)
    y = convolve(line[:, :, None], taps[:, :, None], (1, 1), (0, 0), (1, 1), 3)[:, :, 0]
    cases.append(make("Convolution_depthwise_1d", "Convolution", [("input", line, "f32"), ("weight", taps, "f32")],
                      [("output", y, "f32", {**tolerance, "view": swapped(y.shape)})], stride=[1], padding=[0], dilation=[1], transposed=False, outputPadding=[0], groups=3,
                      cubeMathType=0))
    # Transposed: every input element adds its kernel at stride * position - padding.
    for stride, pad, dilation, extra, groups in ((2, 0, 1, 0, 1), (3, 2, 2, 1, 2)):
        source, kernel = normal(1225 + stride, 2, 4, 5), normal(1230 + stride, 4, 3, 4)
        length = (5 - 1) * stride - 2 * pad + dilation * 3 + 1 + extra
        y = np.zeros((2, 3 * groups, length))
        for g in range(groups):
            for c in range(4 // groups):
                ci = g * (4 // groups) + c
                for i in range(5):
                    for k in range(4):
                        at = i * stride - pad + k * dilation
                        if 0 <= at < length:
                            y[:, g * 3:g * 3 + 3, at] += source[:, ci, i, None] * kernel[None, ci, :, k]
        cases.append(make(f"Convolution_transposed_{stride}", "Convolution", [("input", source, "f32"), ("weight", kernel, "f32")], [("output", y, "f32", tolerance)],
                          stride=[stride], padding=[pad], dilation=[dilation], transposed=True, outputPadding=[extra], groups=groups, cubeMathType=0))
    image = normal(1226, 2, 3, 5, 6, dtype="f16")
    columns = windows(image, (2, 3), (2, 1), (1, 1, 1, 1), 0, (1, 2))
    cases.append(make("Im2col", "Im2col", [("self", image, "f16", permuted((2, 3, 5, 6), [0, 2, 1, 3]))],
                      [("out", columns.transpose(0, 1, 4, 2, 3).reshape(2, 18, -1), "f16", {})], kernelSize=[2, 3], dilation=[1, 2], padding=[1, 1], stride=[2, 1]))
    return cases


def solves():
    cases = []
    for upper in (False, True):
        for transpose in (False, True):
            for unit in (False, True):
                a = normal(1240, 2, 5, 5, scale=0.5) + 3 * np.eye(5)
                a, b = rounded(a, "f32"), normal(1241, 2, 5, 3)
                triangle = np.triu(a) if upper else np.tril(a)
                if unit:
                    triangle = triangle - triangle * np.eye(5) + np.eye(5)
                x = np.linalg.solve(triangle.swapaxes(1, 2) if transpose else triangle, b)
                cases.append(make("TriangularSolve_%d%d%d" % (upper, transpose, unit), "TriangularSolve", [("self", b, "f32"), ("A", a, "f32", swapped((2, 5, 5)))],
                                  [("x", x, "f32", NEAR), ("m", a, "f32", {})], upper=upper, transpose=transpose, unitriangular=unit))
    a, v = normal(1242, 6, 9), normal(1243, 9)
    cases.append(make("Mv", "Mv", [("self", a, "f32", swapped((6, 9))), ("vec", v, "f32")], [("out", a @ v, "f32", NEAR)], cubeMathType=0))
    return cases


def weight_quant():
    cases = []
    rng = np.random.default_rng(1250)
    for name, dtype, group, m, k, n in (("group", "f16", 32, 3, 96, 5), ("channel", "bf16", 0, 2, 40, 6), ("one_group", "f16", 0, 4, 32, 8)):
        x = normal(1251 + k, m, k, dtype=dtype)
        w = rng.integers(-127, 128, (k, n)).astype(float)
        groups = -(-k // group) if group else 1
        scale = rounded(np.abs(rng.normal(0, 0.01, (groups, n))) + 0.001, dtype)
        offset = rounded(rng.integers(-4, 5, (groups, n)), dtype)
        at = np.arange(k) // group if group else np.zeros(k, dtype=int)
        for shifted in (False, True):
            real = rounded((w + (offset[at] if shifted else 0)) * scale[at], dtype)
            inputs = [("x", x, dtype), ("weight", w, "i8", swapped((k, n))), ("scale", scale, dtype, swapped((groups, n)))]
            bias = normal(1252, n, dtype=dtype)
            if shifted:
                inputs += [("offset", offset, dtype), ("bias", bias, dtype)]
            y = x @ real + (bias if shifted else 0)
            bound = float(np.max(np.abs(x) @ np.abs(real))) * k * 2.0 ** -24
            cases.append(make(f"WeightQuant_{name}_{int(shifted)}", "WeightQuantBatchMatmulV2", inputs, [("y", y, dtype, {"absolute": bound, "ulps": 1, "share": 0.2})],
                              group=group))
    return cases


def attention():
    cases = []

    def case(name, layout, b, n, kv, s, skv, d, pse=None, mask=None, sparse=0, lengths=None, kv_lengths=None, dtype="f16", kv_view=None, pre=65535, next_=65535):
        q, k, v = (normal(1260 + i, b, heads, rows, d, dtype=dtype) for i, (heads, rows) in enumerate(((n, s), (kv, skv), (kv, skv))))
        scale = float(np.float32(1 / np.sqrt(d)))
        share = n // kv
        scores = np.einsum("bnsd,bntd->bnst", q, np.repeat(k, share, 1)) * scale
        inputs = []
        if pse is not None:
            scores = scores + pse[:, :, :s, :skv]
        i, j = np.arange(s)[:, None], np.arange(skv)[None, :]
        hidden = np.zeros((b, 1, s, skv), dtype=bool)
        if mask is not None and sparse <= 1:
            hidden |= mask.astype(bool)
            if sparse == 0:
                hidden |= (j < i - pre) | (j > i + next_)
        for at in range(b):
            rows = lengths[at] if lengths else s
            keys = kv_lengths[at] if kv_lengths else skv
            if sparse == 2:
                hidden[at, 0] |= j > i
            if sparse == 3:
                hidden[at, 0] |= j > i + keys - rows
            hidden[at, 0] |= (j >= keys) | (i >= rows)
        scores = np.where(hidden, -np.inf, scores)
        largest = scores.max(-1, keepdims=True)
        weight = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
        total = weight.sum(-1, keepdims=True)
        y = np.einsum("bnst,bntd->bnsd", np.where(total > 0, weight / np.where(total > 0, total, 1), 0), np.repeat(v, share, 1))

        def laid(t):
            if layout == "BNSD":
                return t
            t = t.transpose(0, 2, 1, 3)
            return t.reshape(t.shape[0], t.shape[1], -1) if layout == "BSH" else t

        def view(t):
            return permuted(t.shape, [0, 2, 1, 3]) if kv_view else None

        inputs += [("query", laid(q), dtype), ("key.0", laid(k), dtype, view(laid(k))), ("value.0", laid(v), dtype, view(laid(v)))]
        if pse is not None:
            wide = np.broadcast_to(pse, pse.shape)
            inputs.append(("pseShift", wide, dtype))
        if mask is not None:
            inputs.append(("attenMask", mask, "bool"))
        cases.append(make("Attention_" + name, "FusedInferAttentionScoreV2", inputs,
                          [("attentionOut", laid(y), dtype, {"absolute": 2e-5, "ulps": 1, "share": 0.2})], numHeads=n, numKeyValueHeads=kv, scaleValue=scale, inputLayout=layout,
                          sparseMode=sparse, preTokens=pre, nextTokens=next_, actualSeqLengths=lengths or [], actualSeqLengthsKv=kv_lengths or []))

    case("bsnd", "BSND", 2, 4, 2, 3, 7, 16, kv_view=True)
    case("bnsd_bf16", "BNSD", 1, 2, 2, 5, 5, 32, dtype="bf16")
    case("bsh", "BSH", 2, 4, 1, 2, 6, 16)
    pse = normal(1270, 2, 4, 3, 7, dtype="f16")
    pse[0, 1, 2, 3:] = -np.inf
    pse[1, 0, 0, :] = -np.inf
    case("pse", "BSND", 2, 4, 2, 3, 7, 16, pse=pse)
    case("pse_larger", "BSND", 1, 2, 1, 3, 5, 16, pse=normal(1271, 1, 2, 4, 8, dtype="f16"))
    mask = (np.random.default_rng(1272).random((2, 1, 3, 7)) < 0.4).astype(float)
    case("mask", "BSND", 2, 2, 2, 3, 7, 16, mask=mask)
    case("mask_band", "BSND", 2, 2, 2, 3, 7, 16, mask=mask, pre=1, next_=2)
    case("mask_alone", "BSND", 2, 2, 2, 3, 7, 16, mask=mask, sparse=1, pre=0, next_=0)
    case("lengths", "BSND", 2, 2, 1, 4, 6, 16, lengths=[3, 4], kv_lengths=[6, 2])
    return cases
