#include "kernels/cpu/support.h"

#include <bit>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/latent_attention_plan.h"

namespace qiao::kernels::cpu {
namespace {

const char* DTypeName(uint32_t dtype) {
  constexpr const char* kNames[] = {"none",    "f32", "f16", "bf16", "f8_e4m3",
                                    "f8_e5m2", "i8",  "u8",  "i32",  "i64"};
  return dtype < std::size(kNames) ? kNames[dtype] : "unknown";
}

constexpr uint32_t Bit(uint32_t dtype) { return 1u << dtype; }
constexpr uint32_t kAct = Bit(QIAO_F32) | Bit(QIAO_BF16);

// Collects conditions on a call; the first that fails is the answer.
class Conditions {
 public:
  Conditions(const qiao_op_call& call, std::string* why) : call_(call), why_(why) {}

  bool has(uint32_t i) const {
    return i < call_.argument_count && call_.argument[i].dtype != QIAO_DTYPE_NONE;
  }
  const qiao_tensor& at(uint32_t i) const { return call_.argument[i]; }

  Conditions& Require(bool condition, std::string_view why) {
    if (!condition && yes_) *why_ = std::string(why);
    yes_ = yes_ && condition;
    return *this;
  }
  Conditions& Count(uint32_t n) {
    return Require(call_.argument_count >= n,
                   absl::StrFormat("%d arguments are needed, %d were given", n, call_.argument_count));
  }
  // Argument i is a dense or strided array of one of `dtypes`.
  Conditions& Array(uint32_t i, const char* name, uint32_t dtypes, bool contiguous = false) {
    if (!yes_) return *this;
    const qiao_tensor& t = at(i);
    if (t.dtype > 31 || !(dtypes & Bit(t.dtype)))
      return Require(false,
                     absl::StrFormat("%s is %s, which these kernels do not take", name, DTypeName(t.dtype)));
    Require(t.layout == QIAO_LAYOUT_STRIDED, absl::StrFormat("%s must be a strided array", name));
    Require(t.rank >= 1 && t.rank <= QIAO_MAX_RANK, absl::StrFormat("%s has rank %d", name, t.rank));
    if (yes_ && (kAct | Bit(QIAO_F16) | Bit(QIAO_F8E4M3) | Bit(QIAO_I8)) & Bit(t.dtype) && LastDim(t) > 1)
      Require(t.stride[t.rank - 1] == 1,
              absl::StrFormat("the last dimension of %s has stride %d, not 1", name, t.stride[t.rank - 1]));
    if (yes_ && contiguous) {
      int64_t expected = 1;
      for (int d = static_cast<int>(t.rank) - 1; d >= 0; expected *= t.dim[d--])
        Require(t.dim[d] <= 1 || t.stride[d] == expected,
                absl::StrFormat("%s must be contiguous: stride %d of dimension %d is not %d", name,
                                t.stride[d], d, expected));
    }
    return *this;
  }
  Conditions& Act(uint32_t i, const char* name) {
    return Array(i, name, kAct).Require(!yes_ || at(i).rank >= 2, absl::StrFormat("%s needs rows", name));
  }
  // As Array and Act, where argument i is given; such arrays are contiguous.
  Conditions& OptionalArray(uint32_t i, const char* name, uint32_t dtypes) {
    return has(i) ? Array(i, name, dtypes, true) : *this;
  }
  Conditions& OptionalAct(uint32_t i, const char* name) { return has(i) ? Act(i, name) : *this; }
  Conditions& Same(uint32_t i, uint32_t j, const char* names) {
    return Require(!yes_ || at(i).dtype == at(j).dtype, absl::StrFormat("%s have different dtypes", names));
  }
  Conditions& WeightAt(uint32_t i) {
    if (!yes_) return *this;
    yes_ = SupportsWeight(at(i).dtype, at(i).scheme, at(i).layout, at(i).block, why_);
    if (yes_ && at(i).layout == QIAO_LAYOUT_STRIDED)
      Require(at(i).rank >= 2 && at(i).stride[at(i).rank - 1] == 1, "the weight's rows must be contiguous");
    return *this;
  }
  // Of a quantised x: scales, and that x's blocks are the weight's.
  Conditions& QuantisedX(bool transposed, uint32_t weight) {
    if (!yes_) return *this;
    const qiao_tensor &x = at(0), &w = at(weight);
    if (x.dtype != QIAO_F8E4M3) return Act(0, "x").Require(!has(1), "x_scale belongs to quantised x only");
    Require(has(1), "x is f8_e4m3 without x_scale")
        .Array(1, "x_scale", Bit(QIAO_F32))
        .Array(0, "x", Bit(QIAO_F8E4M3));
    Require(!transposed, "quantised x with a transposed weight");
    Require(x.block[1] > 0, "x is quantised but names no block");
    if (yes_ && w.scheme != QIAO_SCHEME_BLOCK && w.layout == QIAO_LAYOUT_OPAQUE)
      Require(x.block[1] % kBlockStep == 0, "packed weights need blocks of x that four divides");
    if (yes_ && w.scheme == QIAO_SCHEME_BLOCK)
      Require(x.block[1] == w.block[1],
              absl::StrFormat("x is quantised in blocks of %d, the weight in blocks of %d", x.block[1],
                              w.block[1]));
    return *this;
  }
  // INT8 rows and an INT8 weight, a scale for each row of both.
  Conditions& I8Rows(bool transposed, uint32_t weight) {
    if (!yes_) return *this;
    const qiao_tensor& w = at(weight);
    Require(has(1), "x is i8 without x_scale").Array(1, "x_scale", Bit(QIAO_F32)).Array(0, "x", Bit(QIAO_I8));
    Require(!transposed, "INT8 rows with a transposed weight");
    return Require(w.dtype == QIAO_I8 && w.scheme == QIAO_SCHEME_CHANNEL && w.layout == QIAO_LAYOUT_PIECES,
                   "INT8 rows meet INT8 weights with a scale for each row, as they lie in the files");
  }
  bool yes() const { return yes_; }

 private:
  const qiao_op_call& call_;
  std::string* why_;
  bool yes_ = true;
};

// All but x, its scales and the weight.
bool LinearRest(Conditions& c) {
  return c.Act(5, "y")
      .OptionalArray(3, "bias", Bit(QIAO_F32))
      .OptionalAct(4, "residual")
      .Require(!c.yes() || (c.at(0).rank == c.at(5).rank && (c.at(0).rank == 2 || c.at(0).rank == 3)),
               "x and y must be [T,B,K] and [T,B,N], or both without B")
      .yes();
}
bool GroupedLinearRest(Conditions& c) {
  return c.Array(2, "ends", Bit(QIAO_I64), true)
      .Act(4, "y")
      .Require(!c.yes() || (c.at(0).rank == 2 && c.at(3).rank == 3), "x must be [R,K] and the weight [E,N,K]")
      .yes();
}

}  // namespace

bool SupportsWeight(uint32_t dtype, uint32_t scheme, uint32_t layout, const int32_t block[2],
                    std::string* why) {
  constexpr uint32_t kWeights =
      Bit(QIAO_F32) | Bit(QIAO_BF16) | Bit(QIAO_F16) | Bit(QIAO_F8E4M3) | Bit(QIAO_F8E5M2);
  if (dtype > 31 || !(kWeights & Bit(dtype))) {
    *why = absl::StrFormat("weights of %s; f32, bf16, f16, f8_e4m3 and f8_e5m2 are taken", DTypeName(dtype));
  } else if (scheme != QIAO_SCHEME_NONE && scheme != QIAO_SCHEME_BLOCK) {
    *why = "channel scales; block scales are taken";
  } else if (scheme == QIAO_SCHEME_BLOCK && layout == QIAO_LAYOUT_STRIDED) {
    *why = "block scales come with weights in pieces or packed";
  } else if (scheme == QIAO_SCHEME_BLOCK && (block[0] <= 0 || block[1] <= 0)) {
    *why = absl::StrFormat("a scale block of %d x %d", block[0], block[1]);
  } else {
    return true;
  }
  return false;
}

bool SupportsEmbedding(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  c.Count(3).Array(0, "ids", Bit(QIAO_I32), true).WeightAt(1).Act(2, "y");
  return c
      .Require(!c.yes() || c.at(1).layout != QIAO_LAYOUT_OPAQUE, "rows are looked up as they lie in the file")
      .yes();
}

bool SupportsRmsNorm(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(3)
      .Act(0, "x")
      .Array(1, "g", Bit(QIAO_F32), true)
      .Act(2, "y")
      .Same(0, 2, "x and y")
      .yes();
}

bool SupportsLinear(const qiao_op_call& call, std::string* why) {
  const bool transposed = static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0;
  return LinearRest(Conditions(call, why).Count(6).WeightAt(2).QuantisedX(transposed, 2));
}

bool SupportsGroupedLinear(const qiao_op_call& call, std::string* why) {
  return GroupedLinearRest(Conditions(call, why).Count(5).WeightAt(3).QuantisedX(false, 3));
}

bool SupportsMlp(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(4)
      .Act(0, "x")
      .WeightAt(1)
      .WeightAt(2)
      .Act(3, "y")
      .Same(0, 3, "x and y")
      .yes();
}

bool SupportsMoeMlp(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  c.Count(10).Act(0, "x").WeightAt(1).OptionalArray(2, "bias", Bit(QIAO_F32)).WeightAt(3).WeightAt(4);
  if (c.yes() && c.has(5)) c.WeightAt(5).WeightAt(6);
  return c.Act(7, "y")
      .Same(0, 7, "x and y")
      .Array(8, "ids", Bit(QIAO_I32), true)
      .Array(9, "w", Bit(QIAO_F32), true)
      .yes();
}

bool SupportsLinearI8(const qiao_op_call& call, std::string* why) {
  const bool transposed = static_cast<const qiao_linear_params*>(call.params)->w_transposed != 0;
  Conditions c(call, why);
  if (!LinearRest(c.Count(6).I8Rows(transposed, 2))) return false;
  return !c.has(4) || c.Same(4, 5, "the residual and y").yes();
}

bool SupportsGroupedLinearI8(const qiao_op_call& call, std::string* why) {
  return GroupedLinearRest(Conditions(call, why).Count(5).I8Rows(false, 3));
}

bool SupportsMoeGate(const qiao_op_call& call, std::string* why) {
  const auto& p = *static_cast<const qiao_moe_gate_params*>(call.params);
  return Conditions(call, why)
      .Count(4)
      .Array(0, "logits", Bit(QIAO_F32))
      .OptionalArray(1, "bias", Bit(QIAO_F32))
      .Array(2, "ids", Bit(QIAO_I32), true)
      .Array(3, "w", Bit(QIAO_F32), true)
      .Require(p.score == QIAO_SCORE_SOFTMAX || p.score == QIAO_SCORE_SIGMOID, "an unknown score function")
      .Require(p.group_score == QIAO_GROUP_SCORE_MAX || p.group_score == QIAO_GROUP_SCORE_TOP2_SUM,
               "an unknown group score")
      .yes();
}

bool SupportsMoePermute(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(5)
      .Act(0, "x")
      .Array(1, "ids", Bit(QIAO_I32), true)
      .Act(2, "xp")
      .Same(0, 2, "x and xp")
      .Array(3, "ends", Bit(QIAO_I64), true)
      .Array(4, "slot", Bit(QIAO_I32), true)
      .yes();
}

bool SupportsMoeCombine(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  c.Count(5)
      .Act(0, "yp")
      .Array(1, "slot", Bit(QIAO_I32), true)
      .Array(2, "w", Bit(QIAO_F32), true)
      .Act(4, "y");
  if (c.yes() && c.has(3)) c.Act(3, "shared").Same(0, 3, "yp and shared");
  return c.Same(0, 4, "yp and y").yes();
}

bool SupportsSwiGlu(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(3)
      .Act(0, "x")
      .Act(2, "y")
      .Same(0, 2, "x and y")
      .OptionalArray(1, "ends", Bit(QIAO_I64))
      .yes();
}

bool SupportsRopeTable(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(4)
      .Array(0, "positions", Bit(QIAO_I32), true)
      .Array(1, "inv_freq", Bit(QIAO_F32), true)
      .Array(2, "cos", Bit(QIAO_F32), true)
      .Array(3, "sin", Bit(QIAO_F32), true)
      .yes();
}

bool SupportsRope(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(4)
      .Act(0, "x")
      .Array(1, "cos", Bit(QIAO_F32), true)
      .Array(2, "sin", Bit(QIAO_F32), true)
      .Act(3, "y")
      .Same(0, 3, "x and y")
      .yes();
}

bool SupportsKvWrite(const qiao_op_call& call, std::string* why) {
  const auto& p = *static_cast<const qiao_kv_write_params*>(call.params);
  const int32_t kinds = p.kinds;
  Conditions c(call, why);
  c.Require(kinds >= 1 && kinds <= 4, "kinds must be 1 to 4");
  if (!c.yes()) return false;
  const auto n = static_cast<uint32_t>(kinds);
  uint32_t scale = 2 * n + 1;
  c.Count(scale + static_cast<uint32_t>(std::popcount(p.scaled))).Array(n, "slot", Bit(QIAO_I32), true);
  for (uint32_t i = 0; i < n && c.yes(); ++i) {
    c.Act(i, "rows");
    if (p.scaled >> i & 1) {
      c.Array(n + 1 + i, "the pool", Bit(QIAO_F8E4M3)).Array(scale++, "its scales", Bit(QIAO_F32));
    } else {
      c.Act(n + 1 + i, "the pool");
    }
    c.Require(!c.yes() || c.at(n + 1 + i).rank == 3, "a pool must have rank 3");
  }
  return c.yes();
}

bool SupportsAttentionSchedule(const qiao_op_call&, std::string*) { return true; }

bool SupportsLatentAttention(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  const bool scaled = static_cast<const qiao_latent_attention_params*>(call.params)->scaled != 0;
  const uint32_t o = scaled ? 9 : 8;
  c.Count(o + 1).Act(0, "q_latent").Act(1, "q_rope").Act(o, "o");
  for (uint32_t i : {1u, o}) c.Same(0, i, "q_latent and the other activations");
  if (scaled) {
    c.Array(2, "the latent pool", Bit(QIAO_F8E4M3))
        .Array(3, "the rope pool beside an E4M3 latent", Bit(QIAO_BF16))
        .Array(8, "the latent's scales", Bit(QIAO_F32))
        .Require(!c.yes() || c.at(2).block[1] % attention::kDecodeWidth == 0,
                 absl::StrFormat("blocks of the latent must be multiples of %d channels",
                                 attention::kDecodeWidth));
  } else {
    c.Act(2, "the latent pool").Act(3, "the rope pool");
    for (uint32_t i : {2u, 3u}) c.Same(0, i, "q_latent and the caches");
  }
  return c.Array(4, "q_start", Bit(QIAO_I32), true)
      .Array(5, "kv_len", Bit(QIAO_I32), true)
      .Array(6, "table", Bit(QIAO_I32))
      .Require(!c.yes() || (c.at(0).rank == 3 && c.at(2).rank == 3), "queries and pools must have rank 3")
      .yes();
}

bool SupportsGatherRows(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(3)
      .Act(0, "x")
      .Array(1, "index", Bit(QIAO_I32), true)
      .Act(2, "y")
      .Same(0, 2, "x and y")
      .yes();
}

bool SupportsAdd(const qiao_op_call& call, std::string* why) {
  return Conditions(call, why)
      .Count(3)
      .Act(0, "a")
      .Act(1, "b")
      .Act(2, "y")
      .Same(0, 1, "a and b")
      .Same(0, 2, "a and y")
      .yes();
}

bool SupportsCast(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  return c.Count(2)
      .Array(0, "x", kAct | Bit(QIAO_F16))
      .Act(1, "y")
      .Require(!c.yes() || c.at(0).rank >= 2, "x needs rows")
      .yes();
}

bool SupportsQuantise(const qiao_op_call& call, std::string* why) {
  const auto& p = *static_cast<const qiao_quantise_params*>(call.params);
  Conditions c(call, why);
  return c.Count(4)
      .Act(0, "x")
      .Array(2, "q", Bit(QIAO_F8E4M3) | Bit(QIAO_I8))
      .Array(3, "scale", Bit(QIAO_F32))
      .OptionalArray(1, "ends", Bit(QIAO_I64))
      .Require(!c.yes() || p.block > 0 || c.at(2).dtype == QIAO_I8, "block must be positive for f8_e4m3")
      .yes();
}

bool SupportsArgMax(const qiao_op_call& call, std::string* why) {
  Conditions c(call, why);
  return c.Count(2)
      .Array(0, "x", Bit(QIAO_F32))
      .Array(1, "ids", Bit(QIAO_I32), true)
      .Require(!c.yes() || c.at(0).rank == 2, "x must be [T,V]")
      .yes();
}

}  // namespace qiao::kernels::cpu
