"""Quantised and grouped products, dynamic quantisation, FP8 with block scales."""

import numpy as np

from golden import Case, contiguous, hashed, permuted, rounded, spaced, sum_error, swapped

# x1 @ x2 is exact in int32; then f32: * scale of the column * scale of the row, rounded to 16 bits once.
SCALED = dict(ulps=1)


def random(seed):
    return np.random.default_rng(seed)


def scales(rng, n, dtype="f32", low=0.001, high=0.02):
    return rounded(rng.uniform(low, high, n), dtype)


def quant_matmul():
    cases = []

    def case(name, op, seed, m, k, n, out="bf16", scale_dtype="f32", row_scale=True, transposed=False, x2_view=None,
             nz=False, bias=None, x1=None, x2=None, batch=(), row_values=None, empty_offsets=False):
        rng = random(seed)
        c = Case(name, op, transposeX1=False, transposeX2=transposed)
        a = x1 if x1 is not None else rng.integers(-128, 128, (*batch, m, k)).astype(float)
        b = x2 if x2 is not None else rng.integers(-128, 128, (k, n)).astype(float)
        c.input("x1", a, "i8")
        stored = b.T if transposed else b
        if nz:
            c.nz("x2", stored, "i8")
        else:
            c.input("x2", stored, "i8", view=x2_view(stored.shape) if x2_view else None)
        column = np.ones(n) if out == "i32" else scales(rng, n, scale_dtype)
        column = c.input("scale", column, scale_dtype)
        total = a @ b
        assert np.abs(total).max() < 2 ** 31
        if bias == "i32":
            total = total + c.input("bias", rng.integers(-5000, 5000, n).astype(float), "i32")
        y = total * column
        if row_scale:
            row = row_values if row_values is not None else scales(rng, m)
            y = y * c.input("pertokenScale", row, "f32")[:, None]
        if bias in ("bf16", "f32"):
            y = y + c.input("bias", rng.uniform(-1, 1, n), bias)
        if empty_offsets:
            c.attributes["emptyOffsets"] = True
        c.output("out", y, out, **({} if out == "i32" else SCALED))
        cases.append(c)

    v4, nz = "QuantMatmulV4", "QuantMatmulWeightNz"
    case("quant_matmul.bf16", v4, 11, 5, 67, 19)
    case("quant_matmul.f16", v4, 12, 3, 64, 32, out="f16")
    case("quant_matmul.bf16_scale", v4, 13, 4, 40, 24, scale_dtype="bf16")
    case("quant_matmul.no_row_scale", v4, 14, 4, 40, 24, scale_dtype="bf16", row_scale=False)
    case("quant_matmul.transposed", v4, 15, 6, 33, 17, transposed=True)
    case("quant_matmul.transposed_view", v4, 16, 6, 33, 17, x2_view=swapped)
    case("quant_matmul.one_row", v4, 17, 1, 256, 8)
    case("quant_matmul.one_column", v4, 18, 9, 31, 1)
    case("quant_matmul.zero_and_negative_scales", v4, 19, 4, 32, 16, row_values=np.array([0.0, 0.01, -0.02, 1e-30]))
    case("quant_matmul.bias_int32", v4, 20, 4, 32, 16, bias="i32")
    case("quant_matmul.bias_f32", v4, 21, 4, 32, 16, bias="f32")
    case("quant_matmul.batch", v4, 22, 3, 32, 16, batch=(2,), row_scale=False, scale_dtype="bf16")
    # The running sum passes 2^24 with odd terms and comes back: a float32 sum loses the small rest, int32 does not.
    a = np.concatenate([np.full(1200, 127.0), np.full(16, 1.0), np.full(1200, 127.0)])[None].repeat(2, 0)
    b = np.concatenate([np.full(1200, 127.0), np.full(16, 1.0), np.full(1200, -127.0)])[:, None].repeat(4, 1)
    case("quant_matmul.exact_int32", v4, 23, 2, 2416, 4, x1=a, x2=b)
    a = np.full((1, 1040), -128.0)
    case("quant_matmul.largest_sum", v4, 24, 1, 1040, 4, x1=a, x2=np.full((1040, 4), -128.0))
    case("quant_matmul.nz_operand", v4, 25, 5, 70, 37, nz=True)
    case("quant_matmul.nz_operand_transposed", v4, 26, 5, 70, 37, nz=True, transposed=True)
    case("quant_matmul_weight_nz.bf16", nz, 27, 5, 64, 32, nz=True, scale_dtype="bf16")
    case("quant_matmul_weight_nz.f16", nz, 28, 5, 70, 37, nz=True, out="f16")
    case("quant_matmul_weight_nz.transposed", nz, 29, 5, 70, 37, nz=True, transposed=True)
    case("quant_matmul_v5.int8", "QuantMatmulV5", 31, 5, 67, 19)
    case("quant_matmul_v5.int8_transposed_bias", "QuantMatmulV5", 32, 3, 40, 24, transposed=True, bias="bf16", out="f16")
    case("quant_matmul.int32_out", v4, 33, 4, 200, 16, out="i32", row_scale=False)
    case("quant_matmul_weight_nz.empty_offsets", nz, 30, 2, 40, 20, nz=True, empty_offsets=True)
    return cases


COUNTS = {"ragged": [3, 0, 5, 1], "one_has_all": [0, 0, 9, 0], "all_but_last_empty": [0, 0, 0, 9],
          "even": [2, 2, 2, 2], "first_empty": [0, 1, 1, 7]}


def grouped(weights, counts):
    return np.repeat(np.arange(len(counts)), counts), [weights[e] for e in range(len(counts))]


def grouped_matmul():
    cases = []

    def case(name, op, seed, counts, k, n, x_dtype="bf16", out=None, list_type=1, scale_dtype="bf16", view=None,
             nz=False, per_expert=False, bias=False, row_scale=True, split=3, spare=0):
        experts, m = len(counts), sum(counts)
        c = Case(name, op, splitItem=split, groupType=0, groupListType=list_type, actType=0)
        # Rows past the last group belong to nobody: their results are not defined.
        x = c.generated("x.0", [m + spare, k], x_dtype, seed, 1.0 if x_dtype == "i8" else 2.0 ** -6)
        kind = "i8" if x_dtype == "i8" else x_dtype
        fill = 1.0 if kind == "i8" else 2.0 ** -6
        w = hashed((experts, k, n), seed + 1, fill, kind)
        if per_expert:
            w = np.stack([c.generated("weight.%d" % e, [k, n], kind, seed + 100 + e, fill) for e in range(experts)])
        elif nz:
            c.nz("weight.0", w, kind)
        elif view:
            c.input("weight.0", w, kind, view=view(w.shape))
        else:
            w = c.generated("weight.0", [experts, k, n], kind, seed + 1, fill)
        owner = np.repeat(np.arange(experts), counts)
        y = np.stack([x[i] @ w[e] for i, e in enumerate(owner)]) if m else np.zeros((0, n))
        size = np.stack([np.abs(x[i]) @ np.abs(w[e]) for i, e in enumerate(owner)]) if m else np.zeros((0, n))
        if x_dtype == "i8":
            rng = random(seed)
            column = c.input("scale.0", scales(rng, (experts, n), scale_dtype), scale_dtype)
            y = y * column[owner]
            if row_scale:
                y = y * c.input("perTokenScale.0", scales(rng, m + spare), "f32")[:m, None]
            tolerance = SCALED
        else:
            if bias:
                b = c.input("bias.0", random(seed).normal(0, 1, (experts, n)), "f32" if x_dtype == "bf16" else x_dtype)
                y, size = y + b[owner], size + np.abs(b[owner])
            tolerance = dict(absolute=sum_error(size, k + 1), ulps=1 if (out or x_dtype) != "f32" else 0)
        group = np.cumsum(counts) if list_type == 0 else np.array(counts)
        c.input("groupList", group.astype(float), "i64")
        y = np.concatenate([y, np.zeros((spare, n))])
        c.output("out.0", y, out or ("bf16" if x_dtype == "i8" else x_dtype), count=m * n if spare else None, **tolerance)
        cases.append(c)

    for version in ("V4", "V5"):
        op, at = "GroupedMatmul" + version, 200 if version == "V4" else 300
        for i, (label, counts) in enumerate(COUNTS.items()):
            case("grouped_matmul_%s.%s" % (version.lower(), label), op, at + i, counts, 40, 24, list_type=i % 2)
        name = "grouped_matmul_%s." % version.lower()
        case(name + "f16", op, at + 10, [3, 0, 5, 1], 33, 17, "f16")
        case(name + "f32", op, at + 11, [3, 0, 5, 1], 33, 17, "f32")
        case(name + "int8", op, at + 12, [3, 0, 5, 1], 65, 24, "i8")
        case(name + "int8_cumulative", op, at + 13, [0, 4, 4, 1], 65, 24, "i8", list_type=0, scale_dtype="f32")
        case(name + "int8_f16", op, at + 14, [2, 2, 0, 3], 32, 16, "i8", out="f16", scale_dtype="f32")
        case(name + "transposed_weights", op, at + 15, [3, 0, 5, 1], 24, 20, view=swapped)
        case(name + "int8_transposed_weights", op, at + 16, [1, 6, 0, 2], 24, 20, "i8", view=swapped)
        case(name + "a_weight_for_each_group", op, at + 17, [3, 0, 5, 1], 32, 16, per_expert=True)
        case(name + "no_rows", op, at + 18, [0, 0, 0, 0], 32, 16)
        case(name + "one_group", op, at + 19, [7], 32, 16)
        case(name + "bias_bf16", op, at + 20, [3, 0, 2], 32, 16, bias=True)
        case(name + "bias_f16", op, at + 21, [3, 0, 2], 32, 16, "f16", bias=True)
        case(name + "int8_no_row_scale", op, at + 22, [3, 0, 2], 32, 16, "i8", row_scale=False)
        case(name + "one_output_split", op, at + 23, [3, 0, 2], 32, 16, split=2)
        case(name + "rows_of_nobody", op, at + 24, [3, 0, 2], 32, 16, spare=2)
    op = "GroupedMatmulWeightNz"
    case("grouped_matmul_weight_nz.bf16", op, 401, [3, 0, 5, 1], 40, 24, nz=True)
    case("grouped_matmul_weight_nz.int8", op, 402, [3, 0, 5], 70, 37, "i8", nz=True)
    case("grouped_matmul_weight_nz.int8_cumulative", op, 403, [0, 9, 0, 0], 64, 32, "i8", nz=True, list_type=0)
    return cases


def quantise_rows(x):
    """scale = row maximum / 127, y = x / scale rounded half to even. A row of zeros: scale 0, y 0."""
    scale = np.abs(x).max(-1, keepdims=True) / 127
    quotient = np.divide(x, scale, out=np.zeros_like(x), where=scale != 0)
    # A float32 quotient may fall on the other side of a half; such inputs would make a bad golden.
    near = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5)
    assert np.all((near > 1e-4) | (near == 0)), "too near a tie"
    assert np.all((near != 0) | (scale == np.exp2(np.rint(np.log2(np.where(scale > 0, scale, 1)))))), "inexact tie"
    return np.rint(quotient), scale[..., 0]


def dynamic_quant():
    cases = []

    def case(name, x, dtype, smooth=None, view=None):
        c = Case("dynamic_quant." + name, "DynamicQuant")
        x = c.input("x", x, dtype, view=view(x.shape) if view else None)
        if smooth is not None:
            x = x * c.input("smoothScales", smooth, dtype)
        y, scale = quantise_rows(x)
        c.output("y", y, "i8")
        c.output("scale", scale, "f32", ulps=1)
        cases.append(c)

    for name, seed, shape, dtype, view in (("bf16", 501, (5, 96), "bf16", None), ("f16", 502, (4, 33), "f16", None),
                                           ("three_dimensions", 503, (2, 3, 40), "f16", None),
                                           ("one_element_rows", 504, (6, 1), "f16", None),
                                           ("rows_with_gaps", 505, (5, 24), "f16", lambda s: spaced(s, 8, 3)),
                                           ("transposed", 506, (5, 24), "f16", swapped)):
        for attempt in range(200):  # the first seed without a quotient near a half
            x = rounded(random(seed + 1000 * attempt).normal(0, 1, shape), dtype)
            try:
                quantise_rows(x)
                break
            except AssertionError:
                continue
        case(name, x, dtype, view=view)
    half = np.array([127, 0.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, -3.5, 126.5, -126.5, 0], dtype=float)
    case("half_to_even", np.stack([half, half[::-1], half / 16, -half]), "f16")
    zero = np.zeros((3, 16))
    zero[1] = (np.arange(16) * 8 + 7) / 256
    case("rows_of_zeros", zero, "f16")
    equal = np.full((3, 16), -2.0)
    equal[1] = 0.25
    case("rows_of_one_value", equal, "bf16")
    big = np.array([[60000.0, -60000, 472.5, 1000.125], [6e-8, 0, -6e-8, 6e-8]])
    case("large_and_subnormal", big, "f16")
    for attempt in range(400):
        rng = random(507 + 1000 * attempt)
        x, smooth = rounded(rng.normal(0, 1, (4, 24)), "f16"), rounded(rng.uniform(0.25, 4, 24), "f16")
        try:
            quantise_rows(x * smooth)
            break
        except AssertionError:
            continue
    case("smoothed", x, "f16", smooth=smooth)
    return cases


def blocks(x, rows, columns):
    """Largest magnitude of every block, and that spread over the elements again."""
    m, n = x.shape
    up = np.zeros((-(-m // rows) * rows, -(-n // columns) * columns))
    up[:m, :n] = np.abs(x)
    top = up.reshape(up.shape[0] // rows, rows, up.shape[1] // columns, columns).max((1, 3))
    return top, top.repeat(rows, 0).repeat(columns, 1)[:m, :n]


def fp8():
    """For a 950. Scales multiply the float32 sum of their 128 elements of K, as DeepSeek-V3 (2412.19437, 3.3) has it."""
    cases = []

    def spread(scale, rows, columns, shape):
        return scale.repeat(rows, 0).repeat(columns, 1)[:shape[0], :shape[1]]

    def case(name, seed, m, k, n, out="bf16", transposed=False):
        rng = random(seed)
        c = Case("quant_matmul_v5." + name, "QuantMatmulV5", profile="Ascend950", transposeX1=False,
                 transposeX2=transposed, groupSize=(1 << 32) + (128 << 16) + 128)
        x = c.input("x1", rng.normal(0, 60, (m, k)), "f8_e4m3")
        w = rounded(rng.normal(0, 60, (k, n)), "f8_e4m3")
        c.input("x2", w.T if transposed else w, "f8_e4m3")
        row = c.input("x1Scale", rng.uniform(0.001, 0.01, (m, -(-k // 128))), "f32")
        block = rounded(rng.uniform(0.001, 0.01, (-(-k // 128), -(-n // 128))), "f32")
        c.input("x2Scale", block.T if transposed else block, "f32")
        xs, ws = x * spread(row, 1, 128, x.shape), w * spread(block, 128, 128, w.shape)
        c.output("out", xs @ ws, out, absolute=sum_error(np.abs(xs) @ np.abs(ws), k), ulps=1 if out != "f32" else 0)
        cases.append(c)

    case("bf16", 601, 5, 256, 40)
    case("odd_sizes", 602, 3, 130, 140)
    case("transposed", 603, 4, 136, 130, transposed=True)
    case("f16", 604, 2, 128, 16, out="f16")

    def quantise(name, x, dtype, rows=1, columns=128):
        c = Case("dynamic_block_quant." + name, "DynamicBlockQuant", profile="Ascend950", minScale=0.0,
                 roundMode="rint", dstType=36, rowBlockSize=rows, colBlockSize=columns)
        x = c.input("x", x, dtype)
        top, wide = blocks(x, rows, columns)
        y = np.divide(x * 448, wide, out=np.zeros_like(x), where=wide != 0)
        # The float32 quotient may fall on the other side of a tie: one unit in the last place, and rarely.
        c.output("y", y, "f8_e4m3", ulps=1, share=0.01)
        c.output("scale", top / 448, "f32", ulps=1)
        cases.append(c)

    rng = random(611)
    quantise("bf16", rng.normal(0, 1, (5, 256)), "bf16")
    quantise("odd_sizes", rng.normal(0, 1, (3, 200)), "f16")
    zero = rng.normal(0, 1, (2, 256))
    zero[0, :128] = 0
    quantise("block_of_zeros", zero, "bf16")
    quantise("square_blocks", rng.normal(0, 1, (130, 20)), "bf16", rows=128)
    c = Case("dynamic_block_quant.largest_is_448", "DynamicBlockQuant", profile="Ascend950", minScale=0.0,
             roundMode="rint", dstType=36, rowBlockSize=1, colBlockSize=128)
    x = np.zeros((1, 128))
    x[0, :10] = [448, 17, 19, 17.0625, 416, 432, 0.5, 2.0 ** -10, 3 * 2.0 ** -10, -21]  # ties go to even
    c.input("x", x, "f16")
    c.output("y", x, "f8_e4m3")
    c.output("scale", np.ones((1, 1)), "f32")
    cases.append(c)

    def grouped_fp8(name, seed, counts, k, n, list_type):
        rng = random(seed)
        experts, m = len(counts), sum(counts)
        c = Case("grouped_matmul_v5.fp8_" + name, "GroupedMatmulV5", profile="Ascend950", splitItem=3, groupType=0,
                 groupListType=list_type, actType=0)
        x = c.input("x.0", rng.normal(0, 60, (m, k)), "f8_e4m3")
        w = c.input("weight.0", rng.normal(0, 60, (experts, k, n)), "f8_e4m3")
        block = c.input("scale.0", rng.uniform(0.001, 0.01, (experts, -(-k // 128), -(-n // 128))), "f32")
        row = c.input("perTokenScale.0", rng.uniform(0.001, 0.01, (m, -(-k // 128))), "f32")
        owner = np.repeat(np.arange(experts), counts)
        xs = x * spread(row, 1, 128, x.shape)
        ws = np.stack([w[e] * spread(block[e], 128, 128, (k, n)) for e in range(experts)])
        y = np.stack([xs[i] @ ws[e] for i, e in enumerate(owner)])
        size = np.stack([np.abs(xs[i]) @ np.abs(ws[e]) for i, e in enumerate(owner)])
        c.input("groupList", (np.cumsum(counts) if list_type == 0 else np.array(counts)).astype(float), "i64")
        c.output("out.0", y, "bf16", absolute=sum_error(size, k), ulps=1)
        cases.append(c)

    grouped_fp8("ragged", 621, [2, 0, 3], 136, 24, 1)
    grouped_fp8("cumulative", 622, [0, 4, 1], 128, 20, 0)
    return cases
