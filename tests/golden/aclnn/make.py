"""Writes this folder's goldens: python make.py (numpy only; the README says with what they were made)."""

import pathlib

import attention
import client
import client_dense
import dense
import elementwise
import golden
import moe
import quantised

FAMILIES = (
    ("attention", "DeepSeek-V2, arXiv 2405.04434, 2.1.2; op-plugin's documents of npu_fused_infer_attention_score_v2 and npu_scatter_pa_kv_cache",
     lambda: attention.fused_attention() + attention.scatter()),
    ("routing", "DeepSeek-V2 2405.04434, DeepSeek-V3 2412.19437; op-plugin's documents of npu_moe_gating_top_k, npu_moe_init_routing_v2, npu_moe_finalize_routing",
     lambda: moe.gating() + moe.init_routing() + moe.finalize_routing()),
    ("quantised", "DeepSeek-V3 2412.19437, 3.3; CloudMatrix384 2506.12708; op-plugin's documents of npu_quant_matmul, npu_grouped_matmul, npu_dynamic_quant, npu_dynamic_block_quant",
     lambda: quantised.quant_matmul() + quantised.grouped_matmul() + quantised.dynamic_quant() + quantised.fp8()),
    ("dense", "matrix products; FRACTAL_NZ's formula (shared/design/ascend.md); RMSNorm 1910.07467; RoFormer 2104.09864; SwiGLU 2002.05202",
     lambda: dense.products() + dense.formats() + dense.norms() + dense.rotation() + dense.swiglu()),
    ("elementwise", "IEEE 754 and NumPy's semantics",
     lambda: elementwise.arithmetic() + elementwise.in_place() + elementwise.casts() + elementwise.selection()),
    ("client", "NumPy's and PyTorch's documented semantics; ggml-cann's calls (shared/design/ascend.md); GELU 1606.08415, LayerNorm 1607.06450, GroupNorm 1803.08494",
     lambda: client.functions() + client.in_place() + client.movement() + client.reductions() + client_dense.norms() + client_dense.pooling() +
     client_dense.convolutions() + client_dense.solves() + client_dense.weight_quant() + client_dense.attention()),
)


def main():
    folder = pathlib.Path(__file__).resolve().parent
    for family, source, cases in FAMILIES:
        made = cases()
        size = golden.write(folder, family, source, made)
        print("%-12s %4d cases %8d bytes" % (family, len(made), size))


if __name__ == "__main__":
    main()
