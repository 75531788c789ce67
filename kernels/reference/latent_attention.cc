// latent_attention: for row t at position `last` of sequence s, and head h,
//
//   a_j = scale * (q_latent[t,h] . latent[j] + q_rope[t,h] . rope[j])      j = 0 .. last
//   p = softmax(a),  o[t,h] = sum over j of p_j latent[j]
//
// DeepSeek-V2, arXiv 2405.04434, 2.1.2, with W_UK absorbed into the query and W_UV left to what follows.
// Token j of the sequence lies in page table[s][j / page_tokens], row j % page_tokens. Rows q_start[s] ..
// q_start[s+1] are the sequence's last tokens. Everything is kept in double; the output is rounded once. A
// latent in E4M3 is its stored numbers times the scales of their blocks.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/reference/reference.h"

namespace qiao::kernels::reference {
namespace {
enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kScaleOrO };

template <typename T>
double Dot(const float* a, const T* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// Cached latents as numbers: stored ones times the scales of their blocks, which is exact in double.
class Latents {
 public:
  explicit Latents(const KernelCall& call)
      : pool_(call, kLatentPool),
        scales_(call, kScaleOrO),
        scaled_(call.as<qiao_latent_attention_params>().scaled != 0),
        block_(call.tensor[kLatentPool].block[1]),
        row_(static_cast<size_t>(pool_.width())) {}

  void Load(int64_t row, double* out) {
    pool_.Load(row, row_.data());
    for (int64_t c = 0; c < pool_.width(); ++c) {
      out[c] = static_cast<double>(row_[static_cast<size_t>(c)]);
      if (scaled_) out[c] *= static_cast<double>(static_cast<const float*>(scales_.at(row))[c / block_]);
    }
  }

 private:
  Rows pool_, scales_;  // scales_ only where there are some
  bool scaled_;
  int64_t block_;
  std::vector<float> row_;
};

}  // namespace

void LatentAttention(const KernelCall& call) {
  const Rows q_latent(call, kQLatent), q_rope(call, kQRope), rope_pool(call, kRopePool),
      o(call, kScaleOrO + call.as<qiao_latent_attention_params>().scaled);
  Latents latent_pool(call);
  const auto* q_start = call.data<const int32_t>(kQStart);
  const auto* kv_len = call.data<const int32_t>(kKvLen);
  const auto* table = call.data<const int32_t>(kTable);
  const double scale = static_cast<double>(call.as<qiao_latent_attention_params>().scale);
  const int64_t heads = q_latent.inner(), latent_width = q_latent.width(), rope_width = q_rope.width();
  const int64_t page_tokens = call.tensor[kLatentPool].dim[1], table_width = call.tensor[kTable].dim[1];
  const int64_t rows = LiveRows(call, kQLatent);
  int64_t seqs = call.tensor[kKvLen].dim[0];
  if (call.batch) seqs = std::min<int64_t>(seqs, call.batch->seqs);

  std::vector<double> latent;
  std::vector<float> rope;
  std::vector<float> ql(static_cast<size_t>(latent_width)), qr(static_cast<size_t>(rope_width));
  std::vector<double> p, sum(static_cast<size_t>(latent_width));
  for (int64_t s = 0; s < seqs; ++s) {
    const int64_t length = kv_len[s];
    latent.resize(static_cast<size_t>(length * latent_width));
    rope.resize(static_cast<size_t>(length * rope_width));
    for (int64_t j = 0; j < length; ++j) {
      const int64_t page = table[s * table_width + j / page_tokens];
      latent_pool.Load(page * page_tokens + j % page_tokens, latent.data() + j * latent_width);
      rope_pool.Load(page * page_tokens + j % page_tokens, rope.data() + j * rope_width);
    }

    for (int64_t t = q_start[s]; t < std::min<int64_t>(q_start[s + 1], rows); ++t) {
      const int64_t last = length - q_start[s + 1] + t;
      p.resize(static_cast<size_t>(last + 1));
      for (int64_t h = 0; h < heads; ++h) {
        q_latent.Load(t * heads + h, ql.data());
        q_rope.Load(t * heads + h, qr.data());
        double largest = -std::numeric_limits<double>::infinity();
        for (int64_t j = 0; j <= last; ++j) {
          const double a = scale * (Dot(ql.data(), latent.data() + j * latent_width, latent_width) +
                                    Dot(qr.data(), rope.data() + j * rope_width, rope_width));
          p[static_cast<size_t>(j)] = a;
          largest = std::max(largest, a);
        }
        double total = 0;
        for (double& a : p) total += a = std::exp(a - largest);
        std::fill(sum.begin(), sum.end(), 0.0);
        for (int64_t j = 0; j <= last; ++j) {
          const double weight = p[static_cast<size_t>(j)] / total;
          const double* value = latent.data() + j * latent_width;
          for (int64_t c = 0; c < latent_width; ++c) {
            sum[static_cast<size_t>(c)] += weight * value[c];
          }
        }
        o.Store(t * heads + h, sum.data());
      }
    }
  }
}

}  // namespace qiao::kernels::reference
