"""Absorbed latent attention over pages (DeepSeek-V2, 2405.04434, 2.1.2) and the scatter that fills the pages."""

import numpy as np

from golden import Case, rounded

PAGE, LATENT, ROPE, MASK = 128, 512, 64, 2048


def attend(query, query_rope, latent, rope, table, query_lengths, context_lengths, scale, causal):
    """out[t, n] = sum_j p_j c_j with p = softmax(scale * (q . c + qr . kr)) over the tokens j < context of t's sequence, and where
    causal j <= context - rows + row. Also the log of the softmax's sum, and the
    largest scale * sum |q c|."""
    rows, heads, _ = query.shape
    out, lse, first, largest = np.zeros((rows, heads, LATENT)), np.zeros((rows, heads, 1)), 0, 0.0
    flat, flat_rope = latent.reshape(-1, PAGE, LATENT), rope.reshape(-1, PAGE, ROPE)
    for sequence, (count, context) in enumerate(zip(query_lengths, context_lengths)):
        pages = table[sequence, :-(-context // PAGE)].astype(int)
        c = flat[pages].reshape(-1, LATENT)[:context]
        r = flat_rope[pages].reshape(-1, ROPE)[:context]
        for row in range(count):
            seen = context - count + row + 1 if causal else context
            for head in range(heads):
                s = scale * (c[:seen] @ query[first + row, head] + r[:seen] @ query_rope[first + row, head])
                size = np.abs(c[:seen]) @ np.abs(query[first + row, head])
                size += np.abs(r[:seen]) @ np.abs(query_rope[first + row, head])
                largest = max(largest, scale * float(size.max()))
                p = np.exp(s - s.max())
                out[first + row, head] = p @ c[:seen] / p.sum()
                lse[first + row, head] = np.log(p.sum()) + s.max()
        first += count
    return out, lse, largest


def fused_attention():
    cases = []

    def case(name, seed, query_lengths, context_lengths, heads, dtype="bf16", op="FusedInferAttentionScoreV3",
             causal=True, lse=False, rank=3, query_scale=2.0 ** -6, key_scale=2.0 ** -6, reserve=2, mask="bool",
             profile=None):
        rng = np.random.default_rng(seed)
        scale = 192 ** -0.5
        needed = [-(-n // PAGE) for n in context_lengths]
        blocks = sum(needed) + reserve
        # Pages in no order, none of a sequence beside its next; those of nobody, and the rest of a last page, are NaN.
        order = rng.permutation(blocks)
        table, taken, nan = np.full((len(needed), max(needed) + 1), -1.0), 0, []
        for sequence, n in enumerate(needed):
            table[sequence, :n] = order[taken:taken + n]
            left = context_lengths[sequence] - (n - 1) * PAGE
            nan.append((int(order[taken + n - 1]), left))
            taken += n
        table[table < 0] = order[-1]
        nan += [(int(block), 0) for block in order[taken:]]

        def ranges(width):
            return sorted((block * PAGE * width + left * width, (block + 1) * PAGE * width) for block, left in nan
                          if left < PAGE)

        def paged(width):
            return {3: [blocks, PAGE, width], 4: [blocks, PAGE, 1, width], 5: [blocks, 1, PAGE, width]}[rank]

        rows = sum(query_lengths)
        attributes = dict(numHeads=heads, numKeyValueHeads=1, scaleValue=scale, inputLayout="TND",
                          sparseMode=3 if causal else 0, blockSize=PAGE, softmaxLseFlag=lse,
                          actualSeqLengths=np.cumsum(query_lengths).tolist(), actualSeqLengthsKv=list(context_lengths))
        if profile:
            attributes["profile"] = profile
        c = Case("fused_attention." + name, op, **attributes)
        query = c.generated("query", [rows, heads, LATENT], dtype, seed * 10 + 1, query_scale)
        query_rope = c.generated("queryRope", [rows, heads, ROPE], dtype, seed * 10 + 2, query_scale)
        latent = c.generated("key", paged(LATENT), dtype, seed * 10 + 3, key_scale, nan=ranges(LATENT))
        rope = c.generated("keyRope", paged(ROPE), dtype, seed * 10 + 4, key_scale, nan=ranges(ROPE))
        c.input("blockTable", table, "i32")
        if causal:
            c.upper_triangle("attenMask", MASK, mask)
        out, sums, size = attend(query, query_rope, latent, rope, table, query_lengths, context_lengths, scale, causal)
        assert np.all(np.isfinite(out))
        # A score's float32 error becomes relative by the exponential. Sums of 576 are at least in eight parts, so that an element meets
        # at most 72 roundings and those of joining them.
        error = size * 80 * 2.0 ** -24 + 2.0 ** -20
        c.output("attentionOut", out, dtype, absolute=float(np.nanmax(np.abs(latent))) * error, ulps=1)
        if lse:
            c.output("softmaxLse", sums, "f32", absolute=error, ulps=4)
        else:
            c.absent("softmaxLse")
        cases.append(c)

    v4 = "FusedInferAttentionScoreV4"
    case("decode_ragged", 11, [1, 1, 1], [1, 128, 300], 2)
    case("decode_no_mask", 12, [1, 1], [129, 40], 2, causal=False)
    case("decode_f16", 13, [1, 1], [130, 7], 1, "f16")
    case("rows_causal", 14, [1, 3, 2], [5, 131, 258], 2)
    case("prefill_whole_context", 15, [5], [5], 1)
    case("prefill_over_a_page", 16, [6], [130], 2, lse=True)
    case("log_sum", 17, [1, 2], [200, 64], 2, op=v4, lse=True)
    case("eight_heads", 18, [1], [65], 8, op=v4)
    case("pages_of_rank_four", 19, [1, 1], [140, 3], 2, rank=4, op=v4)
    case("pages_of_rank_four_heads_first", 20, [1, 1], [140, 3], 2, rank=5)
    case("rows_without_mask", 21, [3], [70], 1, causal=False)
    # Queries of zero: every token weighs the same, so that the result is the mean of the latents.
    case("equal_scores", 22, [1], [100], 1, query_scale=2.0 ** -40)
    # Scores of hundreds: without subtracting the largest they are infinite in float32.
    case("large_scores", 23, [1, 1], [37, 128], 1, query_scale=2.0 ** -2, key_scale=2.0 ** -4)
    case("mask_int8", 24, [2], [30], 1, mask="i8")
    case("mask_uint8", 25, [2], [30], 1, mask="u8")
    case("v5", 26, [1, 2], [129, 30], 2, op="FusedInferAttentionScoreV5", profile="Ascend950", lse=True)
    return cases


def scatter():
    cases = []

    def case(name, seed, slots, blocks, block, heads, key_width, value_width, dtype="bf16", slot_dtype="i32", mode="Norm",
             extras=True):
        rng = np.random.default_rng(seed)
        c = Case("scatter_pa_kv_cache." + name, "ScatterPaKvCache", cacheMode=mode, scatterMode="None" if extras else "",
                 strides=[1, 1] if extras else [], offsets=[0, 0] if extras else [])
        whole = dtype in ("i8", "u8", "i32")
        draw = (lambda s: rng.integers(0 if dtype == "u8" else -128, 128, s).astype(float)) if whole else \
            (lambda s: rounded(rng.normal(0, 1, s), dtype))
        before = [draw((blocks, block, heads, key_width)), draw((blocks, block, heads, value_width))]
        key = c.input("key", draw((len(slots), heads, key_width)), dtype)
        value = c.input("value", draw((len(slots), heads, value_width)), dtype)
        c.input("slotMapping", np.array(slots, dtype=float), slot_dtype)
        after = [b.copy() for b in before]
        for token, slot in enumerate(slots):
            if slot >= 0:
                after[0][slot // block, slot % block] = key[token]
                after[1][slot // block, slot % block] = value[token]
        c.output("keyCache", after[0], dtype, before=before[0])
        c.output("valueCache", after[1], dtype, before=before[1])
        cases.append(c)

    case("out_of_order", 31, [40, 3, 17, 63, 0], 4, 16, 1, 12, 4)
    case("skipped_slots", 32, [5, -1, 31, -1], 2, 16, 1, 12, 4)
    case("all_skipped", 33, [-1, -1], 2, 16, 1, 16, 8)
    case("int64_slots", 34, [9, 2, -1, 30], 2, 16, 1, 16, 8, slot_dtype="i64")
    case("several_heads_f16", 35, [7, 1, 12], 2, 8, 3, 16, 16, "f16")
    case("int8_cache", 36, [7, 1, 12], 2, 8, 1, 32, 32, "i8")
    case("f32_default_mode", 37, [15, 8], 1, 16, 1, 12, 4, "f32", mode="", extras=False)
    case("page_of_128", 38, [127, 128], 2, 128, 1, 16, 4)
    case("no_tokens", 39, [], 1, 16, 1, 16, 8)
    return cases
