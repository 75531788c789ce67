// The coarse operations are defined by their decompositions; here each is computed once more, directly in
// double from its formula in qiao/ops.h, sharing no code with the kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "runtime/base/floats.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/catalogue.h"
#include "tests/ops/case_runner.h"

namespace qiao::ops {
namespace {

using Numbers = std::vector<double>;

Numbers Floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return {values.begin(), values.end()};
}

std::vector<int32_t> Ints(const std::vector<std::byte>& bytes) {
  std::vector<int32_t> values(bytes.size() / sizeof(int32_t));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Numbers Product(const Numbers& w, size_t first_row, size_t rows, const double* x, size_t cols) {
  Numbers y(rows);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) y[r] += w[(first_row + r) * cols + c] * x[c];
  }
  return y;
}

Numbers DirectMlp(const Numbers& gate_up, size_t gu_row, const Numbers& down, size_t d_row, size_t inner,
                  size_t hidden, const double* x) {
  Numbers both = Product(gate_up, gu_row, 2 * inner, x, hidden), a(inner);
  for (size_t i = 0; i < inner; ++i) a[i] = both[i] / (1 + std::exp(-both[i])) * both[inner + i];
  return Product(down, d_row, hidden, a.data(), inner);
}

Numbers Norm(Numbers x, const Numbers& g, double eps) {
  double squares = 0;
  for (double v : x) squares += v * v;
  const double r = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= r * g[i];
  return x;
}

void Rotate(double* x, const double* cosine, const double* sine, size_t width, bool half) {
  for (size_t i = 0; i < width / 2; ++i) {
    double& a = x[half ? i : 2 * i];
    double& b = x[half ? i + width / 2 : 2 * i + 1];
    const double first = a * cosine[i] - b * sine[i];
    b = b * cosine[i] + a * sine[i];
    a = first;
  }
}

// The f32 cases of an operation, with what the definition gives.
template <typename F>
void ForEachCase(uint32_t op, const F& visit) {
  const OpSpec* spec = Find(op);
  int seen = 0;
  for (const Case& c : spec->cases(3, false)) {
    if (c.args[0].tensor.dtype != QIAO_F32 || c.rows == 0) continue;
    SCOPED_TRACE(c.name);
    auto result = conformance::RunReference(*spec, c);
    ASSERT_TRUE(result.ok()) << result.status();
    visit(c, *result);
    ++seen;
  }
  EXPECT_GE(seen, 2);
}

void ExpectRow(const Numbers& got, size_t begin, const Numbers& want) {
  double rms = 0;
  for (double v : want) rms += v * v / static_cast<double>(want.size());
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[begin + i], want[i], 1e-5 * std::sqrt(rms) + 1e-12) << i;
}

TEST(Decomposition, AddRmsNorm) {
  ForEachCase(QIAO_OP_ADD_RMSNORM, [](const Case& c, const conformance::Contents& result) {
    const Numbers x = Floats(c.args[0].bytes), residual = Floats(c.args[1].bytes),
                  g = Floats(c.args[2].bytes);
    const Numbers y = Floats(result.args[3]), sum = Floats(result.args[4]);
    const size_t width = g.size();
    for (size_t t = 0; t < static_cast<size_t>(c.rows); ++t) {
      Numbers row(width);
      for (size_t i = 0; i < width; ++i) row[i] = x[t * width + i] + residual[t * width + i];
      ExpectRow(sum, t * width, row);
      ExpectRow(y, t * width, Norm(row, g, 1e-6));
    }
  });
}

TEST(Decomposition, Mlp) {
  ForEachCase(QIAO_OP_MLP, [](const Case& c, const conformance::Contents& result) {
    const auto hidden = static_cast<size_t>(c.args[0].tensor.dim[1]);
    const auto inner = static_cast<size_t>(c.args[2].tensor.dim[2]);
    const Numbers x = Floats(c.args[0].bytes), gate_up = DecodeWeight(c.args[1]),
                  down = DecodeWeight(c.args[2]);
    for (size_t t = 0; t < static_cast<size_t>(c.rows); ++t) {
      ExpectRow(Floats(result.args[3]), t * hidden,
                DirectMlp(gate_up, 0, down, 0, inner, hidden, &x[t * hidden]));
    }
  });
}

TEST(Decomposition, MoeMlp) {
  ForEachCase(QIAO_OP_MOE_MLP, [](const Case& c, const conformance::Contents& result) {
    const auto& p = c.params.as<qiao_moe_mlp_params>().gate;
    const auto hidden = static_cast<size_t>(c.args[0].tensor.dim[1]);
    const auto experts = static_cast<size_t>(c.args[1].tensor.dim[1]);
    const auto inner = static_cast<size_t>(c.args[4].tensor.dim[2]);
    const auto k = static_cast<size_t>(p.k);
    const Numbers x = Floats(c.args[0].bytes), router = DecodeWeight(c.args[1]),
                  bias = Floats(c.args[2].bytes);
    const Numbers gate_up = DecodeWeight(c.args[3]), down = DecodeWeight(c.args[4]);
    const std::vector<int32_t> ids = Ints(result.args[8]);
    const Numbers weights = Floats(result.args[9]), y = Floats(result.args[7]);
    for (size_t t = 0; t < static_cast<size_t>(c.rows); ++t) {
      Numbers s = Product(router, 0, experts, &x[t * hidden], hidden);
      double total = 0;
      for (double& v : s) total += v = p.score == QIAO_SCORE_SIGMOID ? 1 / (1 + std::exp(-v)) : std::exp(v);
      if (p.score == QIAO_SCORE_SOFTMAX) {
        for (double& v : s) v /= total;
      }
      // Choose by sorting (score, -index), group by group where there are groups.
      std::vector<std::pair<double, int32_t>> order;
      std::vector<std::pair<double, size_t>> groups;
      const size_t group_count = p.groups > 1 ? static_cast<size_t>(p.groups) : 1,
                   size = experts / group_count;
      for (size_t g = 0; g < group_count; ++g) {
        Numbers best;
        for (size_t e = g * size; e < (g + 1) * size; ++e)
          best.push_back(s[e] + (bias.empty() ? 0 : bias[e]));
        std::sort(best.rbegin(), best.rend());
        groups.emplace_back(-(p.group_score == QIAO_GROUP_SCORE_MAX ? best[0] : best[0] + best[1]), g);
      }
      std::sort(groups.begin(), groups.end());
      const size_t kept = p.groups > 1 ? static_cast<size_t>(p.topk_group) : 1;
      for (size_t g = 0; g < kept; ++g) {
        for (size_t e = groups[g].second * size; e < (groups[g].second + 1) * size; ++e) {
          order.emplace_back(-(s[e] + (bias.empty() ? 0 : bias[e])), static_cast<int32_t>(e));
        }
      }
      std::sort(order.begin(), order.end());
      double chosen = 0;
      for (size_t j = 0; j < k; ++j) chosen += s[static_cast<size_t>(order[j].second)];
      Numbers want(hidden);
      for (size_t j = 0; j < k; ++j) {
        ASSERT_EQ(ids[t * k + j], order[j].second) << "row " << t << " choice " << j;
        const auto e = static_cast<size_t>(order[j].second);
        const double w = s[e] / (p.renormalise ? chosen : 1) * static_cast<double>(p.scale);
        ASSERT_NEAR(weights[t * k + j], w, 1e-6);
        const Numbers part =
            DirectMlp(gate_up, e * 2 * inner, down, e * hidden, inner, hidden, &x[t * hidden]);
        for (size_t i = 0; i < hidden; ++i) want[i] += w * part[i];
      }
      if (!c.args[5].bytes.empty()) {
        const auto shared = static_cast<size_t>(c.args[6].tensor.dim[2]);
        const Numbers part =
            DirectMlp(DecodeWeight(c.args[5]), 0, DecodeWeight(c.args[6]), 0, shared, hidden, &x[t * hidden]);
        for (size_t i = 0; i < hidden; ++i) want[i] += part[i];
      }
      ExpectRow(y, t * hidden, want);
    }
    // Dead rows are routed nowhere.
    for (size_t i = static_cast<size_t>(c.rows) * k; i < ids.size(); ++i) EXPECT_EQ(ids[i], -1);
  });
}

// Row `row` of a pool in E4M3 is `want`: each block's scale is its largest number's 448th, and its numbers
// are off by at most half the distance of the largest ones that E4M3 has, 32.
void ExpectQuantised(const Numbers& want, int32_t block, size_t row, const std::vector<std::byte>& codes,
                     const Numbers& scales) {
  const size_t width = want.size(), per_block = static_cast<size_t>(block);
  const size_t blocks = (width + per_block - 1) / per_block;
  for (size_t b = 0; b < blocks; ++b) {
    double largest = 0;
    for (size_t i = b * per_block; i < std::min(width, (b + 1) * per_block); ++i)
      largest = std::max(largest, std::fabs(want[i]));
    const double scale = scales[row * blocks + b];
    EXPECT_NEAR(scale, largest / 448, 1e-5 * largest);
    for (size_t i = b * per_block; i < std::min(width, (b + 1) * per_block); ++i) {
      const auto code = static_cast<uint8_t>(codes[row * width + i]);
      EXPECT_NEAR(static_cast<double>(F8E4M3ToFloat(code)) * scale, want[i], 16.01 * scale) << i;
    }
  }
}

TEST(Decomposition, MlaProlog) {
  enum {
    kX,
    kCos,
    kSin,
    kSlot,
    kQA,
    kGQ,
    kQ,
    kKvA,
    kGKv,
    kUk,
    kQLatent,
    kQRope,
    kLatentPool,
    kRopePool,
    kLatentScale
  };
  ForEachCase(QIAO_OP_MLA_PROLOG, [](const Case& c, const conformance::Contents& result) {
    const auto& p = c.params.as<qiao_mla_prolog_params>();
    const auto heads = static_cast<size_t>(p.heads), nope = static_cast<size_t>(p.nope);
    const auto hidden = static_cast<size_t>(c.args[kX].tensor.dim[1]);
    const auto latent = static_cast<size_t>(c.args[kUk].tensor.dim[2]);
    const auto rope = static_cast<size_t>(2 * c.args[kCos].tensor.dim[1]);
    const bool half = p.rope_style == QIAO_ROPE_HALF;
    const Numbers x = Floats(c.args[kX].bytes), cosine = Floats(c.args[kCos].bytes),
                  sine = Floats(c.args[kSin].bytes);
    const Numbers w_q = DecodeWeight(c.args[kQ]), w_kv = DecodeWeight(c.args[kKvA]),
                  w_uk = DecodeWeight(c.args[kUk]);
    const Numbers g_kv = Floats(c.args[kGKv].bytes);
    const std::vector<int32_t> slot = Ints(c.args[kSlot].bytes);
    Numbers latent_pool = Floats(c.args[kLatentPool].bytes), rope_pool = Floats(c.args[kRopePool].bytes);
    std::vector<std::byte> codes = c.args[kLatentPool].bytes;  // where the latent has scales
    for (size_t t = 0; t < static_cast<size_t>(c.rows); ++t) {
      Numbers input(x.begin() + static_cast<int64_t>(t * hidden),
                    x.begin() + static_cast<int64_t>((t + 1) * hidden));
      Numbers q_input = input;
      if (!c.args[kQA].bytes.empty()) {
        const auto low = static_cast<size_t>(c.args[kQA].tensor.dim[1]);
        q_input = Norm(Product(DecodeWeight(c.args[kQA]), 0, low, input.data(), hidden),
                       Floats(c.args[kGQ].bytes), 1e-6);
      }
      for (size_t h = 0; h < heads; ++h) {
        Numbers q = Product(w_q, h * (nope + rope), nope + rope, q_input.data(), q_input.size());
        Numbers q_latent(latent);
        for (size_t n = 0; n < nope; ++n) {
          for (size_t l = 0; l < latent; ++l) q_latent[l] += q[n] * w_uk[(h * nope + n) * latent + l];
        }
        ExpectRow(Floats(result.args[kQLatent]), (t * heads + h) * latent, q_latent);
        Rotate(&q[nope], &cosine[t * rope / 2], &sine[t * rope / 2], rope, half);
        ExpectRow(Floats(result.args[kQRope]), (t * heads + h) * rope,
                  Numbers(q.begin() + static_cast<int64_t>(nope), q.end()));
      }
      Numbers kv = Product(w_kv, 0, latent + rope, input.data(), hidden);
      const Numbers normed = Norm(Numbers(kv.begin(), kv.begin() + static_cast<int64_t>(latent)), g_kv, 1e-6);
      Rotate(&kv[latent], &cosine[t * rope / 2], &sine[t * rope / 2], rope, half);
      if (slot[t] < 0) continue;
      std::copy(kv.begin() + static_cast<int64_t>(latent), kv.end(),
                rope_pool.begin() + slot[t] * static_cast<int64_t>(rope));
      if (p.scaled) {
        ExpectQuantised(normed, c.args[kLatentPool].tensor.block[1], static_cast<size_t>(slot[t]),
                        result.args[kLatentPool], Floats(result.args[kLatentScale]));
        std::copy_n(result.args[kLatentPool].begin() + slot[t] * static_cast<int64_t>(latent), latent,
                    codes.begin() + slot[t] * static_cast<int64_t>(latent));
        continue;
      }
      std::copy(normed.begin(), normed.end(), latent_pool.begin() + slot[t] * static_cast<int64_t>(latent));
    }
    if (p.scaled) {
      EXPECT_EQ(result.args[kLatentPool], codes) << "rows that nobody wrote";
    } else {
      ExpectRow(Floats(result.args[kLatentPool]), 0, latent_pool);
    }
    ExpectRow(Floats(result.args[kRopePool]), 0, rope_pool);
  });
}

// Temporaries are named after the node, apart from each other.
TEST(Decomposition, NamesAreUnique) {
  for (const OpSpec* spec : Catalogue()) {
    if (!spec->decompose) continue;
    const Case c = spec->cases(1, false).front();
    Graph graph;
    Node node;
    node.name = "layers.3.part";
    node.op = spec->id;
    node.params = c.params;
    for (const Case::Arg& arg : c.args) {
      if (arg.tensor.dtype == QIAO_DTYPE_NONE) {
        node.args.push_back(kNoValue);
        continue;
      }
      Value value;
      value.name = absl::StrFormat("argument %d", node.args.size());
      value.tensor = arg.tensor;
      node.args.push_back(graph.AddValue(std::move(value)));
    }
    const size_t given = graph.values().size();
    ASSERT_TRUE(spec->decompose(node, graph).ok()) << spec->name;
    std::set<std::string> names;
    for (size_t i = given; i < graph.values().size(); ++i) {
      EXPECT_TRUE(names.insert(graph.values()[i].name).second) << graph.values()[i].name;
      EXPECT_EQ(graph.values()[i].name.rfind("layers.3.part.", 0), 0u) << graph.values()[i].name;
    }
    names.clear();
    for (const Node& part : graph.nodes()) EXPECT_TRUE(names.insert(part.name).second) << part.name;
  }
}

}  // namespace
}  // namespace qiao::ops
