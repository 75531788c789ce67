"""Routing: gate, sorting rows by expert, and putting them together again."""

import numpy as np

from golden import Case, contiguous, rounded, spaced, sum_error


def random(seed):
    return np.random.default_rng(seed)


def gate(x, k, groups, chosen, mode, sigmoid, bias, factor, eps, renormalise):
    """DeepSeek-V3 (2412.19437) eq. 12-16 with sigmoid, a bias that only selects, and the sum of a group's best two; DeepSeek-V2
    (2405.04434) 2.2 with softmax and a group's best. Equal ones: the lower index. Returns also the least margin."""
    if sigmoid:
        score = 1 / (1 + np.exp(-x))
    else:
        score = np.exp(x - x.max(-1, keepdims=True))
        score /= score.sum(-1, keepdims=True)
    select = score + (bias if bias is not None else 0)
    rows, experts = x.shape
    part = select.reshape(rows, groups, -1)
    worth = part.max(-1) if mode == 0 else np.sort(part, -1)[..., -2:].sum(-1)
    order = np.argsort(-worth, -1, kind="stable")
    allowed = np.zeros((rows, groups), dtype=bool)
    np.put_along_axis(allowed, order[:, :chosen], True, -1)
    masked = np.where(np.repeat(allowed, experts // groups, -1), select, -np.inf)
    ranking = np.argsort(-masked, -1, kind="stable")
    ids = ranking[:, :k]
    margin = np.inf
    if k < experts:
        best = np.take_along_axis(masked, ranking[:, :k + 1], -1)
        gaps = best[:, :-1] - best[:, 1:]
        margin = gaps[gaps > 0].min(initial=np.inf)
    if chosen < groups:
        sorted_worth = -np.sort(-worth, -1)
        gap = sorted_worth[:, chosen - 1] - sorted_worth[:, chosen]
        margin = min(margin, gap[gap > 0].min(initial=np.inf))
    weight = np.take_along_axis(score, ids, -1)
    if sigmoid or renormalise:
        weight = weight / (weight.sum(-1, keepdims=True) + eps)
    return weight * factor, ids, score, margin


def gating():
    cases = []

    def case(name, x, dtype="f32", k=6, groups=8, chosen=4, mode=1, sigmoid=True, bias=None, factor=2.5, eps=1e-20,
             out=True, renormalise=0, ties=False, view=None):
        c = Case("moe_gating_top_k." + name, "MoeGatingTopK", k=k, kGroup=chosen, groupCount=groups,
                 groupSelectMode=mode, renorm=renormalise, normType=int(sigmoid), outFlag=out,
                 routedScalingFactor=factor, eps=eps)
        x = c.input("x", x, dtype, view=view(x.shape) if view else None)
        b = c.input("bias", bias, dtype) if bias is not None else None
        weight, ids, score, margin = gate(x, k, groups, chosen, mode, sigmoid, b, factor, eps, renormalise)
        assert ties or margin > 2e-6, (name, margin)
        c.output("y", weight, dtype, ulps=4 if dtype == "f32" else 1)
        c.output("expertIdx", ids.astype(float), "i32")
        if out:
            c.output("out", score, "f32", ulps=4)
        else:
            c.output("out", score, "f32", count=-1)
        cases.append(c)

    def normal(seed, *shape, spread=1.0):
        return random(seed).normal(0, spread, shape)

    case("deepseek_v3", normal(701, 4, 256), k=8, bias=normal(702, 256, spread=0.1))
    case("deepseek_v2", normal(703, 4, 160), groups=8, chosen=3, mode=0, sigmoid=False, factor=16.0)
    case("kimi_k2_one_group", normal(704, 3, 384), k=8, groups=1, chosen=1, bias=normal(705, 384, spread=0.1))
    case("softmax_no_groups", normal(706, 5, 64), groups=1, chosen=1, mode=0, sigmoid=False, factor=1.0)
    case("softmax_renormalised", normal(707, 5, 64), groups=1, chosen=1, mode=0, sigmoid=False, factor=1.0,
         renormalise=1)
    case("best_of_a_group_sigmoid", normal(708, 4, 64), k=4, groups=4, chosen=2, mode=0)
    case("one_expert", normal(709, 4, 64), k=1, groups=4, chosen=1, bias=normal(710, 64, spread=0.1))
    case("all_of_the_chosen", normal(711, 3, 32), k=8, groups=8, chosen=2)
    # Below zero after the bias, so that who masks with 0 instead of -infinity chooses from the other groups.
    case("bias_far_below_zero", normal(712, 4, 64), k=4, groups=4, chosen=1, bias=np.full(64, -5.0) + normal(713, 64, spread=0.1))
    bias = np.zeros(64)
    bias[60:] = 3.0
    case("bias_selects_but_does_not_weigh", normal(714, 4, 64), k=4, groups=4, chosen=2, bias=bias)
    case("all_equal", np.zeros((3, 64)), k=6, groups=8, chosen=4, ties=True)
    case("all_equal_softmax", np.full((2, 64), 3.0), k=6, groups=8, chosen=2, mode=0, sigmoid=False, ties=True)
    tied = np.zeros((2, 64))
    tied[0, [63, 40, 9]] = 1.0  # ties among the rest go to the lowest index of the chosen groups
    tied[1, 8:] = 1.0
    case("some_equal", tied, k=6, groups=8, chosen=4, ties=True)
    far = normal(715, 3, 64, spread=1.0)
    far[0] += 300  # e^300 is beyond float32; shifted, the softmax is not
    far[1] -= 300
    case("large_logits_softmax", far, k=4, groups=1, chosen=1, mode=0, sigmoid=False, factor=1.0)
    case("large_logits_sigmoid", np.array([[-80.0, -60, 5, 90, -85, 2, 1, 0] * 4]) + np.arange(32) * 0.01, k=2,
         groups=1, chosen=1, out=False)
    case("bf16", normal(716, 4, 64), "bf16", k=4, groups=4, chosen=2, bias=rounded(normal(717, 64, spread=0.1), "bf16"))
    case("f16", normal(718, 4, 64), "f16", k=4, groups=4, chosen=2, bias=rounded(normal(719, 64, spread=0.1), "f16"))
    case("large_eps", normal(720, 2, 32), k=4, groups=1, chosen=1, eps=0.5, factor=1.0)
    case("no_scores_asked", normal(721, 2, 64), k=4, groups=4, chosen=2, out=False)
    case("rows_with_gaps", normal(722, 3, 64), k=4, groups=4, chosen=2, view=lambda s: spaced(s, 5, 2))
    return cases


def sort_rows(ids, begin, end):
    """Stable sort of the (token, choice) pairs by expert, those of other ranks last. Returns the order of the pairs, how many are
    ours, and where each pair went (-1: elsewhere)."""
    flat = ids.reshape(-1)
    ours = (flat >= begin) & (flat < end)
    order = np.argsort(np.where(ours, flat, 1 << 30), kind="stable")
    count = int(ours.sum())
    went = np.full(flat.size, -1)
    went[order[:count]] = np.arange(count)
    return order, count, went


def init_routing():
    cases = []

    def tokens(flat, begin, end):
        return np.array([(flat == e).sum() for e in range(begin, end)])

    def v3(name, seed, rows, k, h, experts, ids=None, dtype="bf16", begin=0, end=None, kind=1, row_type=0, quant=-1,
           smooth="", active=None, row_scales=False):
        rng = random(seed)
        end = experts if end is None else end
        c = Case("moe_init_routing_v3." + name, "MoeInitRoutingV3", activeNum=rows * k if active is None else active,
                 expertCapacity=-1, expertNum=experts, dropPadMode=0, expertTokensNumType=kind,
                 expertTokensNumFlag=True, quantMode=quant, activeExpertRange=[begin, end], rowIdxType=row_type)
        x = rng.normal(0, 1, (rows, h))
        if ids is None:
            ids = np.stack([rng.permutation(experts)[:k] for _ in range(rows)])
        x = c.input("x", x, dtype)
        c.input("expertIdx", ids.astype(float), "i32")
        order, count, went = sort_rows(ids, begin, end)
        shown = min(count, rows * k if active is None or active <= 0 else active)
        out_rows = rows * k if active is None or active <= 0 else min(active, rows * k)
        moved = np.zeros((out_rows, h))
        moved[:shown] = x[order[:shown] // k]
        if quant == 1:
            if smooth == "one":
                moved = moved * c.input("scale", rng.uniform(0.5, 2, (1, h)), "f32")
            elif smooth:
                s = c.input("scale", rng.uniform(0.5, 2, (end - begin, h)), "f32")
                moved[:shown] *= s[ids.reshape(-1)[order[:shown]] - begin]
            top = np.abs(moved).max(-1, keepdims=True) / 127
            y = np.divide(moved, top, out=np.zeros_like(moved), where=top != 0)
            # A quotient within float32's error of a half may round either way: by 1, and rarely.
            c.output("expandedX", np.rint(y), "i8", absolute=1, share=0.02, count=shown * h or -1)
            c.output("expandedScale", top[:, 0], "f32", ulps=2, count=shown or -1)
        else:
            c.output("expandedX", moved, dtype, count=shown * h or -1)
            carried = np.zeros(out_rows)
            if row_scales:
                s = c.input("scale", rng.uniform(0.5, 2, rows), "f32")
                carried[:shown] = s[order[:shown] // k]
            c.output("expandedScale", carried, "f32", count=shown if row_scales and shown else -1)
        if row_type == 0:
            c.output("expandedRowIdx", went.astype(float), "i32")
        else:
            c.output("expandedRowIdx", order.astype(float), "i32", count=count or -1)
        number = tokens(ids.reshape(-1), begin, end)
        if kind == 0:
            number = np.cumsum(number)
        if kind == 2:
            pairs = [(e + begin, n) for e, n in enumerate(number) if n]
            table = np.zeros((experts, 2))
            table[:len(pairs)] = pairs
            # Behind the last pair there is one of zeros that ends the list, if there is room; the rest is not defined.
            c.output("expertTokens", table, "i64", count=2 * min(experts, len(pairs) + 1))
        else:
            c.output("expertTokens", number.astype(float), "i64")
        cases.append(c)

    v3("ragged", 801, 7, 3, 24, 8)
    v3("cumulative", 802, 7, 3, 24, 8, kind=0)
    v3("pairs", 803, 5, 2, 16, 12, kind=2)
    v3("pairs_second_rank", 820, 5, 2, 16, 12, kind=2, begin=4, end=8)
    v3("scatter_index", 804, 7, 3, 24, 8, row_type=1)
    v3("empty_experts", 805, 4, 2, 16, 16, ids=np.array([[3, 9], [9, 3], [15, 3], [9, 15]]))
    v3("one_expert_has_all", 806, 6, 1, 16, 8, ids=np.full((6, 1), 5))
    v3("one_token", 807, 1, 8, 32, 32)
    v3("f32", 808, 5, 2, 17, 8, dtype="f32")
    v3("f16", 809, 5, 2, 17, 8, dtype="f16")
    v3("second_rank", 810, 7, 4, 16, 16, begin=4, end=8)
    v3("last_rank_cumulative", 811, 7, 4, 16, 16, begin=12, end=16, kind=0)
    v3("rank_without_tokens", 812, 3, 2, 16, 8, begin=4, end=8, ids=np.array([[0, 1], [2, 3], [3, 0]]))
    v3("second_rank_scatter", 813, 7, 4, 16, 16, begin=4, end=8, row_type=1)
    v3("dynamic_quantisation", 814, 7, 3, 48, 8, quant=1)
    v3("dynamic_quantisation_smoothed", 815, 7, 3, 48, 8, quant=1, smooth="one")
    v3("dynamic_quantisation_smoothed_by_expert", 817, 7, 3, 48, 8, quant=1, smooth="each")
    v3("dynamic_quantisation_second_rank", 818, 7, 3, 48, 8, quant=1, smooth="each", begin=2, end=5)
    v3("scales_of_rows", 819, 7, 3, 16, 8, row_scales=True)
    v3("fewer_active_rows", 816, 7, 3, 16, 8, active=9)

    def v2(name, seed, rows, k, h, experts, flag, ids=None, dtype="bf16"):
        rng = random(seed)
        c = Case("moe_init_routing_v2." + name, "MoeInitRoutingV2", activeNum=rows * k, expertCapacity=0,
                 expertNum=experts, dropPadMode=0, expertTokensCountOrCumsumFlag=flag,
                 expertTokensBeforeCapacityFlag=False)
        if ids is None:
            ids = np.stack([rng.permutation(experts)[:k] for _ in range(rows)])
        x = c.input("x", rng.normal(0, 1, (rows, h)), dtype)
        c.input("expertIdx", ids.astype(float), "i32")
        order, _, went = sort_rows(ids, 0, experts)
        c.output("expandedX", x[order // k], dtype)
        c.output("expandedRowIdx", went.astype(float), "i32")
        number = tokens(ids.reshape(-1), 0, experts)
        if flag:
            c.output("expertTokens", (np.cumsum(number) if flag == 1 else number).astype(float), "i32")
        else:
            c.absent("expertTokens")
        cases.append(c)

    v2("cumulative", 821, 7, 3, 24, 8, 1)
    v2("counts", 822, 7, 3, 24, 8, 2)
    v2("no_counts", 823, 7, 3, 24, 8, 0)
    v2("one_expert_has_all", 824, 5, 1, 16, 8, 2, ids=np.full((5, 1), 7))
    return cases


def finalize_routing():
    """out[i] = skip1[i] + skip2[i] + sum_k scale[i,k] * (row of (i,k) + bias of its expert). The row's place is at k * rows + i where
    the mode is 0 or 1, at i * K + k where it is 2 or 3; -1 (modes 1 and 3): no row, but the bias counts."""
    cases = []

    def case(name, seed, rows, k, h, mode, dtype="bf16", skips=0, bias=False, scale=True, dropped=(), experts=8):
        rng = random(seed)
        c = Case("moe_finalize_routing." + name, "MoeFinalizeRoutingV2", dropPadMode=mode)
        shape = (experts, -(-rows * k // experts), h) if mode in (1, 3) else (rows * k, h)
        x = c.input("expandedX", rng.normal(0, 1, shape), dtype).reshape(-1, h)
        place = rng.permutation(x.shape[0])[:rows * k]
        place[list(dropped)] = -1
        c.input("expandedRowIdx", place.astype(float), "i32")
        y = np.zeros((rows, h))
        size = np.zeros((rows, h))
        for i in range(skips):
            s = c.input("x%d" % (i + 1), rng.normal(0, 1, (rows, h)), dtype)
            y, size = y + s, size + np.abs(s)
        b = c.input("bias", rng.normal(0, 1, (experts, h)), dtype) if bias else np.zeros((experts, h))
        w = c.input("scales", rng.uniform(0, 1, (rows, k)), dtype) if scale else np.ones((rows, k))
        ids = rng.integers(0, experts, (rows, k))
        if bias:
            c.input("expertIdx", ids.astype(float), "i32")
        for i in range(rows):
            for j in range(k):
                at = place[j * rows + i] if mode < 2 else place[i * k + j]
                term = w[i, j] * ((x[at] if at >= 0 else 0) + b[ids[i, j]])
                y[i], size[i] = y[i] + term, size[i] + np.abs(term)
        c.output("out", y, dtype, absolute=sum_error(size, k + skips + 1), ulps=0 if dtype == "f32" else 1)
        cases.append(c)

    case("by_column", 901, 5, 3, 24, 0)
    case("by_row", 902, 5, 3, 24, 2)
    case("by_column_f32_everything", 903, 5, 3, 24, 0, "f32", skips=2, bias=True)
    case("by_row_one_skip", 904, 5, 3, 24, 2, "f16", skips=1)
    case("by_row_bias", 905, 4, 2, 17, 2, bias=True)
    case("no_scales", 906, 6, 1, 24, 0, scale=False)
    case("dropped_by_column", 907, 6, 2, 16, 1, dropped=(0, 7, 11))
    case("dropped_by_row_with_bias", 908, 6, 2, 16, 3, "f32", bias=True, skips=1, dropped=(0, 1, 8))
    case("one_row", 909, 1, 8, 32, 2)
    return cases
