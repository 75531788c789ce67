/* qiao/ops.h: the operations that a backend may implement, in plain C.
 *
 * An operation is an id, one parameter struct and a fixed list of arguments (inputs first, then outputs). An
 * argument is described by a qiao_tensor when a plan is prepared and given as one pointer when the plan is
 * launched. What each operation computes is defined by its scalar kernel in kernels/reference; this file says
 * the shapes.
 *
 * Conventions
 *   - T is a number of token rows: an upper bound (the bucket). How many of them are live is said by
 *     qiao_tensor.live and by the batch that reaches the launch. Dead rows may be computed or not; they are
 *     never routed to an expert and never written to a cache.
 *   - Strides are counted in elements. The last dimension of every floating-point argument has stride 1.
 *   - "act" is f32 or bf16, the same for all act arguments of one call unless said. Sums are kept in f32 or
 *     better.
 *   - An argument marked [optional] may be absent: dtype QIAO_DTYPE_NONE, pointer null.
 *   - Every struct begins with struct_size and only grows at its end. A field that an older struct lacks is
 *     zero. A backend that is given a longer struct, with anything but zeros in the tail it does not know,
 *     answers "unsupported"; so it does for an unknown operation id.
 *
 * Version 0: may change until three real devices stand on it.
 */
#ifndef QIAO_OPS_H_
#define QIAO_OPS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. Files never hold these numbers. */
enum {
  QIAO_DTYPE_NONE = 0,
  QIAO_F32 = 1,
  QIAO_F16 = 2,
  QIAO_BF16 = 3,
  QIAO_F8E4M3 = 4, /* OCP E4M3: no infinities, largest 448 */
  QIAO_F8E5M2 = 5,
  QIAO_I8 = 6,
  QIAO_U8 = 7,
  QIAO_I32 = 8,
  QIAO_I64 = 9
};

/* What multiplies the stored elements. */
enum {
  QIAO_SCHEME_NONE = 0,
  QIAO_SCHEME_BLOCK = 1,  /* one f32 per block[0] x block[1] elements; blocks at the edges are short */
  QIAO_SCHEME_CHANNEL = 2 /* one f32 per row: of a weight, an output channel; of activations, a token */
};

/* How an argument lies in memory. */
enum {
  QIAO_LAYOUT_STRIDED = 0, /* pointer to the first element; dim and stride say the rest */
  QIAO_LAYOUT_PIECES = 1, /* a weight as it lies in the files: pointer to a qiao_weight_view in host memory */
  QIAO_LAYOUT_OPAQUE = 2  /* a weight as the backend's weight_store wrote it, or an opaque intermediate */
};

/* How many rows of dim[0] are live. */
enum {
  QIAO_LIVE_ALL = 0,    /* all of dim[0] */
  QIAO_LIVE_ROWS = 1,   /* qiao_batch.rows */
  QIAO_LIVE_SEQS = 2,   /* qiao_batch.seqs */
  QIAO_LIVE_LOGITS = 3, /* qiao_batch.logit_rows */
  QIAO_LIVE_ROUTED = 4  /* ends[E-1] of the operation's `ends` argument: rows sorted by expert */
};

#define QIAO_MAX_RANK 5
#define QIAO_MAX_ARGS 24

typedef struct qiao_tensor {
  uint32_t struct_size;
  uint32_t dtype;
  /* of weights and quantised activations; the scales of an activation are an argument of their own */
  uint32_t scheme;
  uint32_t layout;
  uint32_t rank;
  uint32_t live;
  int64_t dim[QIAO_MAX_RANK];
  int64_t stride[QIAO_MAX_RANK]; /* elements; meaningless for weights that are not STRIDED */
  int32_t block[2];              /* QIAO_SCHEME_BLOCK: rows, columns */
} qiao_tensor;

/* A weight as it lies in the files: a list of matrices, each `rows` consecutive rows of one file tensor.
 * Pieces are sorted by group (expert, head; 0 where there is only one), and the pieces of a group are
 * stacked: gate above up. `data` is aligned for its dtype and no more. Scale blocks keep the coordinates of
 * the file tensor, so a block may begin above the piece: element (r, c) of the piece is multiplied by
 *     scale[((row0 + r) / block[0]) * scale_ld + (c / block[1])]   QIAO_SCHEME_BLOCK
 *     scale[row0 + r]                                              QIAO_SCHEME_CHANNEL: block, scale_ld are 0
 */
typedef struct qiao_piece {
  uint32_t struct_size;
  uint32_t dtype;
  const void* data; /* element (0, 0) of the piece */
  int64_t rows, cols;
  int64_t ld;    /* elements from one row to the next */
  int64_t row0;  /* the piece's first row within its file tensor */
  int32_t group; /* expert or head */
  uint32_t scheme;
  const float* scale; /* of the file tensor's block (0, 0), or its row 0; null without a scheme */
  int64_t scale_ld;
  int32_t block[2];
} qiao_piece;

/* The argument of QIAO_LAYOUT_PIECES. Lives as long as the program, with the file's pages behind it or their
 * copy (QIAO_WEIGHT_COPY). */
typedef struct qiao_weight_view {
  uint32_t struct_size;
  uint32_t groups;
  /* [groups + 1]: the pieces of group g are piece[group_start[g] .. group_start[g+1]) */
  const int32_t* group_start;
  const qiao_piece* piece;
} qiao_weight_view;

/* The step as the host knows it, passed to every launch; a launch copies what it keeps. The device holds the
 * same in buffers that are arguments of the operations that need them, and the counts in device_counts. */
typedef struct qiao_batch {
  uint32_t struct_size;
  int32_t rows, seqs, logit_rows;
  const int32_t* q_start;       /* [seqs + 1]: sequence s owns rows q_start[s] .. q_start[s+1] */
  const int32_t* kv_len;        /* [seqs]: tokens in the cache after this step */
  const int32_t* device_counts; /* on the device: {rows, seqs, logit_rows, 0}; a captured step reads these */
} qiao_batch;

/* One call of an operation, described: what a plan is prepared for. */
typedef struct qiao_op_call {
  uint32_t struct_size;
  uint32_t op;
  const void* params; /* the operation's struct */
  uint32_t argument_count;
  const qiao_tensor* argument; /* inputs, then outputs, in the order of ops.h */
} qiao_op_call;

/* The same call with its memory. */
typedef struct qiao_launch {
  uint32_t struct_size;
  uint32_t argument_count;
  void* const* argument; /* one pointer each; null for an absent optional one */
  const qiao_batch* batch;
  /* workspace_bytes, aligned as the device asks; not shared with a launch that may run at once */
  void* workspace;
} qiao_launch;

/* Operation ids: stable, never reused. From QIAO_OP_COARSE on, an operation is defined by its decomposition
 * into those below, which the runtime uses where a backend does not claim it. */
enum {
  QIAO_OP_EMBEDDING = 1,
  QIAO_OP_RMSNORM = 2,
  QIAO_OP_LINEAR = 3,
  QIAO_OP_GROUPED_LINEAR = 4,
  QIAO_OP_MOE_GATE = 5,
  QIAO_OP_MOE_PERMUTE = 6,
  QIAO_OP_MOE_COMBINE = 7,
  QIAO_OP_SWIGLU = 8,
  QIAO_OP_ROPE_TABLE = 9,
  QIAO_OP_ROPE = 10,
  QIAO_OP_KV_WRITE = 11,
  QIAO_OP_ATTENTION_SCHEDULE = 12,
  QIAO_OP_LATENT_ATTENTION = 13,
  QIAO_OP_GATHER_ROWS = 14,
  QIAO_OP_ADD = 15,
  QIAO_OP_CAST = 16,
  QIAO_OP_QUANTISE = 17,
  QIAO_OP_ARGMAX = 18,

  QIAO_OP_COARSE = 1000,
  QIAO_OP_ADD_RMSNORM = 1001,
  QIAO_OP_MLP = 1002,
  QIAO_OP_MOE_MLP = 1003,
  QIAO_OP_MLA_PROLOG = 1004
};

/* ---- embedding: y[t] = W[ids[t]]
 * ids i32[T], W weight[1,V,H] -> y act[T,H]
 * An id outside [0, V) gives a row of zeros (the engine refuses it before). */
typedef struct qiao_embedding_params {
  uint32_t struct_size;
} qiao_embedding_params;

/* ---- rmsnorm: y = x * rsqrt(mean(x^2) + eps) * g over the last dimension ("Root Mean Square Layer
 * Normalization", arXiv 1910.07467). The product is (x * rsqrt(..)) * g in f32, rounded once.
 * x act[T,..,D], g f32[D] -> y act[T,..,D] */
typedef struct qiao_rmsnorm_params {
  uint32_t struct_size;
  float eps;
} qiao_rmsnorm_params;

/* ---- linear: y[t,b,:] = x[t,b,:] W[b]^T (+ bias[b]) (+ residual[t,b,:])
 * W is [N,K] per b, as checkpoints store it, or [K,N] when w_transposed (contraction over the file's out
 * axis: the absorbed W_UK of MLA). For a block-scaled weight, the f32 partial sum over each scale block along
 * K is multiplied by that block's scale; scales are never folded into narrow weights. Quantised x (f8, i8)
 * comes with x_scale; otherwise x_scale is absent.
 * x act[T,B,K] | f8[T,B,K] | i8[T,B,K], x_scale [optional] f32[T,B,ceil(K/block) or 1], W weight[B,N,K],
 * bias [optional] f32[B*N], residual [optional] act[T,B,N]
 * -> y act[T,B,N] (y may be f32 when x is bf16: router logits, the head)
 * A weight is described as it lies in the file: [B,N,K], or [B,K,N] when w_transposed. x, x_scale, residual
 * and y may all have rank 2, [T,..], which is short for B = 1. The residual has y's dtype.
 * x in f8 has scheme QIAO_SCHEME_BLOCK and block {1, columns}.
 * x in i8 has scheme QIAO_SCHEME_CHANNEL, elements from -127 to 127, K of 131072 at most, and meets i8
 * weights with scheme QIAO_SCHEME_CHANNEL, not transposed. The integer sum over all of K is exact (it fits 32
 * bits), and then
 *   y = f32(sum) * (x_scale[t,b] * w_scale[b,n]) (+ bias) (+ residual)
 * where conversion and both products are f32 operations: without bias and residual, y is the same bits
 * everywhere. */
typedef struct qiao_linear_params {
  uint32_t struct_size;
  int32_t w_transposed;
} qiao_linear_params;

/* ---- grouped_linear: rows sorted by expert: rows ends[e-1] .. ends[e] times W[e]^T. Rows from ends[E-1] on
 * are dead. Quantised x as in linear.
 * x act[R,K] | f8[R,K] | i8[R,K], x_scale [optional] f32[R,ceil(K/block) or 1], ends i64[E], W weight[E,N,K]
 * -> y act[R,N] */
typedef struct qiao_grouped_linear_params {
  uint32_t struct_size;
} qiao_grouped_linear_params;

/* ---- moe_gate: the choice of experts (DeepSeekMoE, arXiv 2401.06066; DeepSeek-V3, arXiv 2412.19437, 2.1.2).
 *   s = score(logits), over all experts; c = s + bias (without bias c = s)
 *   groups > 1: a group's score is the largest c in it, or the sum of its two largest; the topk_group best
 *   groups stay, c of the others becomes mask_value
 *   the k largest c are chosen, largest first; every tie goes to the lower index; s and c are f32 numbers
 *   w = s of the chosen; renormalise: w / (sum w + renorm_eps); then w * scale
 * logits f32[T,E], bias [optional] f32[E] -> ids i32[T,k] (-1 in dead rows), w f32[T,k] (0 in dead rows) */
enum { QIAO_SCORE_SOFTMAX = 0, QIAO_SCORE_SIGMOID = 1 };
enum { QIAO_GROUP_SCORE_MAX = 0, QIAO_GROUP_SCORE_TOP2_SUM = 1 };
typedef struct qiao_moe_gate_params {
  uint32_t struct_size;
  int32_t score;
  int32_t k;
  int32_t groups; /* 0 or 1: no grouping; divides E */
  int32_t topk_group;
  int32_t group_score;
  float mask_value; /* 0 or -infinity */
  int32_t renormalise;
  float renorm_eps;
  float scale;
} qiao_moe_gate_params;

/* ---- moe_permute: copies each row once per chosen expert, sorted by (expert, row, choice).
 * x act[T,H], ids i32[T,k]
 * -> xp act[T*k,H], ends i64[E] (running counts), slot i32[T,k] (where the copy lies; -1 for id -1) */
typedef struct qiao_moe_permute_params {
  uint32_t struct_size;
  int32_t experts;
} qiao_moe_permute_params;

/* ---- moe_combine: y[t] = sum over j = 0.. of w[t,j] * yp[slot[t,j]], in that order, then + shared[t]; slot
 * -1 adds nothing.
 * yp act[T*k,H], slot i32[T,k], w f32[T,k], shared [optional] act[T,H] -> y act[T,H] */
typedef struct qiao_moe_combine_params {
  uint32_t struct_size;
} qiao_moe_combine_params;

/* ---- swiglu: y = silu(gate) * up ("GLU Variants Improve Transformer", arXiv 2002.05202)
 * x act[T,2I] = gate | up, ends [optional] i64[E] (then rows from ends[E-1] on are dead) -> y act[T,I] */
typedef struct qiao_swiglu_params {
  uint32_t struct_size;
} qiao_swiglu_params;

/* ---- rope_table: cos and sin of the f32 product positions[t] * inv_freq[i], times `factor` (yarn's
 * attention factor)
 * positions i32[T], inv_freq f32[W/2] -> cos f32[T,W/2], sin f32[T,W/2] */
typedef struct qiao_rope_table_params {
  uint32_t struct_size;
  float factor;
} qiao_rope_table_params;

/* ---- rope: rotates channels offset .. offset+width of the last dimension ("RoFormer", arXiv 2104.09864),
 * leaving the pairs where they lie; other channels are copied. Pairs are (2i, 2i+1) interleaved,
 * (i, i+width/2) half. inverse rotates by the negative angle.
 * x act[T,h,D], cos f32[T,width/2], sin f32[T,width/2] -> y act[T,h,D] */
enum { QIAO_ROPE_INTERLEAVED = 0, QIAO_ROPE_HALF = 1 };
typedef struct qiao_rope_params {
  uint32_t struct_size;
  int32_t style;
  int32_t width;
  int32_t offset;
  int32_t inverse;
} qiao_rope_params;

/* ---- kv_write: pool row slot[t] = row t, for each of `kinds` row kinds; slot -1 (and a dead row) writes
 * nothing. A pool is [pages, page_tokens, width] with any page and row stride; slot = page * page_tokens +
 * row within the page.
 * A pool of a kind that `scaled` names is f8_e4m3 with scheme QIAO_SCHEME_BLOCK and block {1, block}, and its
 * scales are a pool of their own. Rows are quantised as they are written, by the rule of quantise with a floor
 * of QIAO_KV_SCALE_FLOOR: per row and `block` channels (the last block may be short),
 *   scale = max(max|x|, floor) / 448 and q = e4m3(x / scale), to nearest, ties to even
 * where both divisions are f32 divisions and the scale is not rounded further. Zeros have the scale
 * floor / 448. The largest number passes over a NaN, which becomes a NaN itself and leaves the rest of its
 * block alone; a block with an infinity has an infinite scale, and none of its numbers is one afterwards.
 * rows act[T,width_i] x kinds, slot i32[T]
 * -> pools (in place) act[pages,page_tokens,width_i] | f8_e4m3[..] x kinds,
 *    scale pools (in place) f32[pages,page_tokens,ceil(width_i/block)] x scaled kinds, in their order */
#define QIAO_KV_SCALE_FLOOR 1e-4f
typedef struct qiao_kv_write_params {
  uint32_t struct_size;
  int32_t kinds;   /* 1..4 */
  uint32_t scaled; /* bit i: pool i has scales */
} qiao_kv_write_params;

/* ---- attention_schedule: how a backend divides this step's attention, once for all layers. Opaque: its
 * bytes are what the backend's output_bytes says; a backend that says 0 gets none and its attention no
 * schedule argument.
 * q_start i32[S+1], kv_len i32[S] -> schedule opaque u8[bytes] */
typedef struct qiao_attention_schedule_params {
  uint32_t struct_size;
  int32_t heads;
  int32_t rows;     /* T of the attention that will use it */
  int32_t kv_bound; /* largest possible kv_len */
  int32_t page_tokens;
} qiao_attention_schedule_params;

/* ---- latent_attention: MLA in its absorbed form (DeepSeek-V2, arXiv 2405.04434, 2.1.2): all heads share one
 * key, the cached latent and its rope part, and the latent is the value too.
 *   p = softmax_j(scale * (q_latent[t,h] . latent[j] + q_rope[t,h] . rope[j])),  o[t,h] = sum_j p_j latent[j]
 * One ragged batch: rows q_start[s] .. q_start[s+1] are the last tokens of sequence s, so row i stands at
 * position kv_len[s] - q_start[s+1] + i and sees positions up to its own. Token j of s lies in page
 * table[s][j / page_tokens].
 * Where `scaled` is 1, the latent pool is f8_e4m3 with scheme QIAO_SCHEME_BLOCK and block {1, block}, and
 * latent[j][c] is its element times scale[j][c / block] of one more argument, as kv_write left them. With L =
 * 512, R = 64, blocks of 128 and a bf16 rope pool a token has 512 + 16 + 128 = 656 bytes, and pools of strides
 * of 656 bytes are FlashMLA's rows of its sparse FP8 cache.
 * q_latent act[T,h,L], q_rope act[T,h,R], latent pool act[pages,page_tokens,L] | f8_e4m3[..], rope pool
 * act[pages,page_tokens,R], q_start i32[S+1], kv_len i32[S], table i32[S,P], schedule [optional],
 * latent scale pool f32[pages,page_tokens,ceil(L/block)] (with `scaled` only)
 * -> o act[T,h,L] */
typedef struct qiao_latent_attention_params {
  uint32_t struct_size;
  float scale;
  int32_t scaled; /* 0 or 1 */
} qiao_latent_attention_params;

/* ---- gather_rows: y[i] = x[index[i]]; rows past the live ones are not touched. An index outside [0, T)
 * gives zeros.
 * x act[T,H], index i32[n] -> y act[n,H] */
typedef struct qiao_gather_rows_params {
  uint32_t struct_size;
} qiao_gather_rows_params;

/* ---- add: y = a + b in f32, rounded once.  a act[T,..], b act[T,..] -> y act[T,..] */
typedef struct qiao_add_params {
  uint32_t struct_size;
} qiao_add_params;

/* ---- cast: y = x in another float dtype, or the same in another stride.
 * x f32|bf16|f16 [T,..] -> y f32|bf16 [T,..] */
typedef struct qiao_cast_params {
  uint32_t struct_size;
} qiao_cast_params;

/* ---- quantise: rows of numbers as narrow ones and scales. All divisions are f32 divisions.
 *   q in f8_e4m3: per row and `block` channels, scale = max(max|x|, floor) / 448 and q = e4m3(x / scale), as
 *   DeepSeek's inference code does (the last block of a row may be short). q is described with scheme
 *   QIAO_SCHEME_BLOCK and block {1, block}.
 *   q in i8: per row, scale = max(max|x|, floor) / 127 and q = x / scale to the nearest integer, ties to
 *   even; `block` is 0. A row that holds a NaN has scale NaN, and q of what is not a number is 0, so that the
 *   row's products are NaN. q is described with scheme QIAO_SCHEME_CHANNEL.
 * With ends, rows from ends[E-1] on are dead (those of x must be QIAO_LIVE_ROUTED).
 * x act[T,..,K], ends [optional] i64[E] -> q f8_e4m3|i8[T,..,K], scale f32[T,..,ceil(K/block) or 1] */
typedef struct qiao_quantise_params {
  uint32_t struct_size;
  int32_t block;
  float floor;
} qiao_quantise_params;

/* ---- argmax: the index of the largest element of each row; ties to the lower; NaN is never chosen unless
 * all are (then 0).
 * x f32[T,V] -> ids i32[T] */
typedef struct qiao_argmax_params {
  uint32_t struct_size;
} qiao_argmax_params;

/* ==== coarse operations; runtime/ops/<name>.cc holds the decomposition ==== */

/* ---- add_rmsnorm: sum = x + residual (rounded to act), y = rmsnorm(sum)
 * x act[T,D], residual act[T,D], g f32[D] -> y act[T,D], sum act[T,D] */
typedef qiao_rmsnorm_params qiao_add_rmsnorm_params;

/* ---- mlp: y = W_down swiglu(W_gate_up x)
 * x act[T,H], W_gate_up weight[1,2I,H], W_down weight[1,H,I] -> y act[T,H] */
typedef struct qiao_mlp_params {
  uint32_t struct_size;
} qiao_mlp_params;

/* ---- moe_mlp: gate, chosen experts, shared expert
 * x act[T,H], W_router weight[1,E,H], bias [optional] f32[E], W_gate_up weight[E,2I,H], W_down weight[E,H,I],
 * W_shared_gate_up [optional] weight[1,2S,H], W_shared_down [optional] weight[1,H,S]
 * -> y act[T,H], ids i32[T,k], w f32[T,k] */
typedef struct qiao_moe_mlp_params {
  uint32_t struct_size;
  qiao_moe_gate_params gate;
} qiao_moe_mlp_params;

/* ---- mla_prolog: everything of MLA before the attention: queries projected into the latent space, the new
 * tokens' latent and rope key written to the cache.
 * x act[T,H], cos f32[T,R/2], sin f32[T,R/2], slot i32[T], W_q_a [optional] weight[1,Q,H],
 * g_q [optional] f32[Q], W_q weight[1,h*(nope+R),Q or H], W_kv_a weight[1,L+R,H], g_kv f32[L],
 * W_uk weight[h,nope,L] (transposed use)
 * -> q_latent act[T,h,L], q_rope act[T,h,R], latent pool (in place), rope pool (in place), latent scale pool (in
 * place; with `scaled` only, and then the latent is written as kv_write writes a scaled kind) */
typedef struct qiao_mla_prolog_params {
  uint32_t struct_size;
  int32_t heads, nope;
  int32_t rope_style;
  float eps; /* of both norms */
  int32_t scaled; /* 0 or 1 */
} qiao_mla_prolog_params;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_OPS_H_ */
