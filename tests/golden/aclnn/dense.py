"""Products, FRACTAL_NZ, norms, rotation, activations."""

import numpy as np

from golden import BITS, Case, View, contiguous, fractal_nz, permuted, rounded, spaced, sum_error, swapped

KEEP, HF32, F16 = 0, 1, 2


def random(seed):
    return np.random.default_rng(seed)


def tolerance(out, absolute, ulps=1):
    return dict(absolute=absolute, ulps=0 if out == "f32" else ulps)


def products():
    cases = []

    def case(name, op, seed, a_shape, b_shape, a="bf16", b=None, out=None, cube=KEEP, a_view=None, b_view=None,
             out_view=None, nz=False, nz_transposed=False, special=()):
        rng = random(seed)
        b, out = b or a, out or a
        c = Case("matmul." + name, op, cubeMathType=cube)
        x = rng.normal(0, 1, a_shape)
        for at, value in special:
            x[at] = value
        x = c.input("self", x, a, view=a_view(a_shape) if a_view else None)
        w = rng.normal(0, 1, b_shape)
        if nz_transposed:
            w = rounded(w, b)
            # Converted as [N, K]; the operand is the transposed view of that, of format 29.
            rows, columns = b_shape[-1], b_shape[-2]
            c.nz("mat2", np.swapaxes(w, -1, -2), b, shape=b_shape, strides=[1, columns])
        elif nz:
            w = c.nz("mat2", w, b)
        else:
            w = c.input("mat2", w, b, view=b_view(b_shape) if b_view else None)
        y, size = np.matmul(x, w), np.matmul(np.abs(x), np.abs(w))
        size = np.where(np.isfinite(size), size, 0)
        error = sum_error(size, a_shape[-1])
        share = None
        if cube != KEEP and "f32" in (a, b):
            # Operands rounded to 11 bits of mantissa, or not at all: twice 2^-11 of every product.
            error += 2 * 2.0 ** -11 * float(size.max(initial=0))
            share = 1.0
        c.output("out", y, out, view=out_view(y.shape) if out_view else None, share=share, **tolerance(out, error))
        cases.append(c)

    case("bf16", "Matmul", 101, [5, 33], [33, 17])
    case("f16", "Matmul", 102, [5, 33], [33, 17], "f16")
    case("f32_exact_type", "Matmul", 103, [5, 33], [33, 17], "f32")
    case("f32_hf32", "Matmul", 104, [5, 33], [33, 17], "f32", cube=HF32)
    case("bf16_to_f32", "Matmul", 105, [5, 33], [33, 17], "bf16", out="f32")
    case("f16_to_f32", "Matmul", 106, [4, 32], [32, 16], "f16", out="f32")
    case("f32_by_f16", "Matmul", 107, [4, 32], [32, 16], "f32", "f16", "f32", cube=HF32)
    case("f32_by_bf16", "Matmul", 108, [4, 32], [32, 16], "f32", "bf16", "f32", cube=HF32)
    case("transposed_right", "Matmul", 109, [5, 24], [24, 20], b_view=swapped)
    case("transposed_left", "Matmul", 110, [5, 24], [24, 20], a_view=swapped)
    case("both_transposed_offset", "Matmul", 111, [5, 24], [24, 20], "f32", a_view=lambda s: swapped(s, 7),
         b_view=lambda s: swapped(s, 3))
    case("rows_with_gaps", "Matmul", 112, [5, 24], [24, 20], a_view=lambda s: spaced(s, 8, 16),
         out_view=lambda s: spaced(s, 4, 2))
    case("broadcast_batch", "Matmul", 113, [2, 3, 4, 16], [16, 8], "f32")
    case("broadcast_batch_right", "Matmul", 114, [1, 3, 4, 16], [2, 1, 16, 8], "f32")
    case("one_row", "Matmul", 115, [1, 256], [256, 8])
    case("one_by_one", "Matmul", 116, [1, 64], [64, 1])
    case("vector_right", "Matmul", 117, [5, 24], [24], "f32")
    case("vector_left", "Matmul", 118, [24], [24, 7], "f32")
    # What is not finite stays in its row, padding or not.
    case("not_finite", "Matmul", 137, [5, 33], [33, 17], special=(((0, 32), np.inf), ((2, 3), np.nan), ((4, 0), -np.inf)))
    case("not_finite_nz", "MatmulWeightNz", 138, [3, 33], [33, 17], nz=True, special=(((1, 32), np.inf),))
    case("no_inner_dimension", "Mm", 139, [3, 0], [0, 4], "f32")
    case("no_rows", "Mm", 140, [0, 8], [8, 4])
    case("mm", "Mm", 119, [6, 40], [40, 12])
    case("mm_f32_as_f16", "Mm", 120, [6, 40], [40, 12], "f32", cube=F16)
    case("mm_transposed", "Mm", 121, [6, 40], [40, 12], "f16", b_view=swapped)
    case("batch", "BatchMatMul", 122, [4, 3, 16], [4, 16, 10])
    case("batch_heads_permuted", "BatchMatMul", 123, [4, 3, 16], [4, 16, 10], a_view=lambda s: permuted(s, [1, 0, 2]),
         out_view=lambda s: permuted(s, [1, 0, 2]))
    case("batch_transposed", "BatchMatMul", 124, [4, 3, 16], [4, 16, 10], b_view=swapped)
    case("weight_nz", "MatmulWeightNz", 131, [5, 40], [40, 24], nz=True)
    case("weight_nz_odd", "MatmulWeightNz", 132, [3, 33], [33, 17], "f16", nz=True)
    case("weight_nz_transposed", "MatmulWeightNz", 133, [5, 40], [40, 24], nz_transposed=True)
    case("batch_weight_nz", "BatchMatMulWeightNz", 136, [3, 4, 20], [3, 20, 18], nz=True)
    # As llama.cpp does: the plain operator with a weight of format 29.
    case("nz_operand", "Matmul", 134, [5, 32], [32, 48], "f16", nz=True)
    case("nz_operand_transposed", "Matmul", 135, [5, 40], [40, 24], "f16", nz_transposed=True)
    return cases


def formats():
    """Every element of a matrix lies where the formula says, and padding is zero."""
    cases = []

    def numbers(shape, dtype):
        # All different where the dtype can tell them apart.
        x = np.arange(1, np.prod(shape) + 1, dtype=np.float64).reshape(shape)
        return (x % 251 - 125) if dtype == "i8" else (x % 255 - 127)

    for i, (dtype, shape) in enumerate((("bf16", [40, 24]), ("f16", [16, 16]), ("f16", [17, 33]), ("i8", [33, 40]),
                                        ("i8", [16, 32]), ("f32", [20, 9]), ("bf16", [1, 1]), ("f16", [2, 17, 18]))):
        x = numbers(shape, dtype)
        label = "%s_%s" % (dtype, "x".join(map(str, shape)))
        buffer, storage = fractal_nz(x, BITS[dtype])
        c = Case("format_cast.to_nz_" + label, "NpuFormatCast", dstFormat=29, dstShape=storage)
        c.input("src", x, dtype)
        c.output("dst", buffer.reshape(-1), dtype, view_shape=shape, format=29, storage=storage)
        cases.append(c)
        c = Case("format_cast.from_nz_" + label, "NpuFormatCast", dstFormat=2, dstShape=shape)
        c.nz("src", x, dtype)
        c.output("dst", x, dtype)
        cases.append(c)
        if len(shape) == 2:
            c = Case("trans_matmul_weight." + label, "TransMatmulWeight", shape=shape, elements=int(buffer.size))
            before = np.zeros(buffer.size)
            before[:x.size] = x.reshape(-1)
            c.output("weight", buffer, dtype, before=before, view_shape=shape)
            cases.append(c)
    return cases


def rms(x, gamma, epsilon, axes=1):
    dims = tuple(range(-axes, 0))
    rstd = 1 / np.sqrt((x * x).mean(dims, keepdims=True) + epsilon)
    return x * rstd * gamma, rstd


def norms():
    """RMSNorm (1910.07467): y = x / sqrt(mean(x^2) + epsilon) * gamma."""
    cases = []

    def case(name, seed, shape, dtype, gamma="same", axes=1, epsilon=1e-6, view=None, x=None, add=False):
        rng = random(seed)
        op = "AddRmsNorm" if add else "RmsNorm"
        c = Case(("add_rms_norm." if add else "rms_norm.") + name, op, epsilon=epsilon)
        x = rng.normal(0, 1, shape) if x is None else x
        if add:
            a = c.input("x1", x, dtype)
            b = c.input("x2", rng.normal(0, 1, shape), dtype)
            total = a + b
            # The norm takes the sum either before or after it is rounded for xOut, within a unit of the result.
            x = rounded(total, dtype)
        else:
            x = c.input("x", x, dtype, view=view(shape) if view else None)
        g = c.input("gamma", rng.uniform(0.5, 1.5, shape[-axes:]), dtype if gamma == "same" else gamma)
        y, rstd = rms(x, g, epsilon, axes)
        f32 = dtype == "f32"
        # Sum, root and two products: a few units of float32.
        c.output("y", y, dtype, ulps=8 if f32 else 1, absolute=1e-30)
        relative = 2.0 ** -20
        c.output("rstd", rstd, "f32", absolute=float(rstd.max()) * relative)
        if add:
            c.output("x", total, dtype, ulps=1 if f32 else 0)
        cases.append(c)

    case("bf16", 141, [5, 96], "bf16")
    case("f16", 142, [2, 3, 40], "f16")
    case("f32", 143, [4, 33], "f32")
    case("squares_beyond_f16", 155, [2, 24], "f16", x=random(155).normal(0, 3000, (2, 24)))
    case("gamma_f32", 144, [4, 64], "bf16", gamma="f32")
    case("two_axes", 145, [3, 4, 8], "f32", axes=2)
    case("row_of_zeros", 146, [2, 16], "f32", x=np.stack([np.zeros(16), np.arange(16.0)]))
    case("large_epsilon", 147, [2, 16], "f32", epsilon=0.5)
    case("one_element", 148, [3, 1], "f32")
    case("tiny_values", 149, [2, 32], "f32", x=random(149).normal(0, 1e-8, (2, 32)), epsilon=1e-12)
    case("rows_with_gaps", 150, [4, 32], "bf16", view=lambda s: spaced(s, 16, 5))
    case("bf16", 151, [5, 96], "bf16", add=True)
    case("f16", 152, [3, 40], "f16", add=True)
    case("f32", 153, [3, 40], "f32", add=True)
    case("cancelling", 154, [2, 32], "f32", add=True, x=-random(154).normal(0, 1, (2, 32)))
    return cases


def rotation():
    """RoFormer (2104.09864) in its two pairings: halves, and neighbours."""
    cases = []

    def case(name, seed, shape, table_shape, mode, dtype="f32", table=None, view=None, angles=None):
        rng = random(seed)
        table = table or dtype
        c = Case("rotary." + name, "RotaryPositionEmbedding", mode=mode)
        x = c.input("x", rng.normal(0, 1, shape), dtype, view=view(shape) if view else None)
        half = shape[-1] // 2
        angle = rng.uniform(-3.2, 3.2, (*table_shape[:-1], half)) if angles is None else angles
        spread = np.concatenate([angle, angle], -1) if mode == 0 else np.repeat(angle, 2, -1)
        cos, sin = c.input("cos", np.cos(spread), table), c.input("sin", np.sin(spread), table)
        turned = np.empty_like(x)
        if mode == 0:
            turned[..., :half], turned[..., half:] = -x[..., half:], x[..., :half]
        else:
            turned[..., 0::2], turned[..., 1::2] = -x[..., 1::2], x[..., 0::2]
        y = x * cos + turned * sin
        size = np.abs(x * cos) + np.abs(turned * sin)
        # Products may be rounded to the 16-bit dtype before they are added: the hardware's order is not documented.
        c.output("y", y, dtype, absolute=sum_error(size, 3), ulps=0 if dtype == "f32" else 1)
        cases.append(c)

    case("half", 161, [1, 3, 2, 64], [1, 3, 1, 64], 0)
    case("interleaved", 162, [1, 3, 2, 64], [1, 3, 1, 64], 1)
    case("half_bf16", 163, [1, 3, 2, 64], [1, 3, 1, 64], 0, "bf16")
    case("interleaved_bf16", 164, [1, 3, 2, 64], [1, 3, 1, 64], 1, "bf16")
    case("interleaved_f16", 165, [1, 3, 2, 32], [1, 3, 1, 32], 1, "f16")
    case("no_angle", 166, [1, 2, 2, 8], [1, 2, 1, 8], 1, angles=np.zeros((1, 2, 1, 4)))
    case("quarter_turn", 167, [1, 2, 2, 8], [1, 2, 1, 8], 1, angles=np.full((1, 2, 1, 4), np.pi / 2))
    case("every_head_its_own", 168, [2, 3, 2, 16], [2, 3, 2, 16], 0)
    case("part_of_a_wider_row", 169, [1, 4, 2, 16], [1, 4, 1, 16], 1, "bf16", view=lambda s: spaced(s, 48, 48))
    return cases


def swiglu():
    cases = []

    def case(name, seed, shape, dim, dtype, view=None, x=None):
        c = Case("swi_glu." + name, "SwiGlu", dim=dim)
        x = c.input("x", random(seed).normal(0, 2, shape) if x is None else x, dtype, view=view(shape) if view else None)
        a, b = np.split(x, 2, dim)
        with np.errstate(over="ignore"):
            y = a / (1 + np.exp(-a)) * b
        c.output("out", y, dtype, absolute=2.0 ** -21 * float(np.abs(y).max()) if dtype == "f32" else 0,
                 ulps=0 if dtype == "f32" else 1)
        cases.append(c)

    case("bf16", 171, [5, 64], -1, "bf16")
    case("f16", 172, [2, 3, 34], 2, "f16")
    case("f32", 173, [4, 20], 1, "f32")
    case("first_dimension", 174, [6, 7], 0, "f32")
    case("middle_dimension", 175, [2, 4, 5], 1, "bf16")
    case("rows_with_gaps", 176, [3, 16], -1, "bf16", view=lambda s: spaced(s, 16, 4))
    case("extremes", 177, [1, 8], -1, "f32", x=np.array([[-100.0, 100, 0, -1e-20, 3, 2, 1, 5]]))
    return cases
