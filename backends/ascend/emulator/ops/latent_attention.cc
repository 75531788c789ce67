#include "backends/ascend/emulator/ops/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/ascend/emulator/ops/loops.h"

namespace qiao::cann {
namespace {

// Consecutive rows that the kernel takes as the last ones of a sequence of its own.
struct Run {
  int64_t first, rows, length;
  size_t sequence;
  bool blind = false;  // sees nothing
};

std::vector<Run> Runs(const LatentAttention& a) {
  std::vector<Run> runs;
  int64_t begin = 0;
  for (size_t s = 0; s < a.ends.size(); ++s) {
    const int64_t rows = a.ends[s] - begin, length = a.lengths[s];
    const int64_t blind = length == 0 ? rows : a.causal ? std::max<int64_t>(0, rows - length) : 0;
    if (blind) runs.push_back({begin, blind, blind, s, true});
    if (a.causal) {
      if (rows > blind) runs.push_back({begin + blind, rows - blind, length, s});
    } else {
      for (int64_t r = blind; r < rows; ++r) runs.push_back({begin + r, 1, length, s});
    }
    begin = a.ends[s];
  }
  return runs;
}

void Fill(const View& rows, float value) {
  Buffer one(ACL_FLOAT, {1});
  one.as<float>()[0] = value;
  Convert(rows, one.view().BroadcastTo(rows));
}

// log of the sum of exponentials, which the kernel keeps to itself.
void LogSums(const LatentAttention& a, const Run& run, const int32_t* pages) {
  const int64_t heads = a.query.size(1), width = a.query.size(2), rope_width = a.query_rope.size(2),
                block = a.latent.size(1);
  std::vector<float> q(static_cast<size_t>(width + rope_width)), k(q.size());
  for (int64_t i = 0; i < run.rows; ++i) {
    const int64_t t = run.first + i, last = run.length - run.rows + i;
    for (int64_t h = 0; h < heads; ++h) {
      const View ql = a.query.Select(0, t).Select(0, h), qr = a.query_rope.Select(0, t).Select(0, h);
      LoadRow(ql.dtype, ql.data(), ql.step(0), width, q.data());
      LoadRow(qr.dtype, qr.data(), qr.step(0), rope_width, q.data() + width);
      double largest = -std::numeric_limits<double>::infinity();
      std::vector<double> scores;
      for (int64_t j = 0; j <= last && !run.blind; ++j) {
        const View l = a.latent.Select(0, pages[j / block]).Select(0, j % block);
        const View r = a.rope.Select(0, pages[j / block]).Select(0, j % block);
        LoadRow(l.dtype, l.data(), l.step(0), width, k.data());
        LoadRow(r.dtype, r.data(), r.step(0), rope_width, k.data() + width);
        double dot = 0;
        for (size_t c = 0; c < q.size(); ++c) dot += static_cast<double>(q[c]) * static_cast<double>(k[c]);
        scores.push_back(dot * a.scale);
        largest = std::max(largest, scores.back());
      }
      double sum = 0;
      for (double s : scores) sum += std::exp(s - largest);
      const double lse = scores.empty() ? std::numeric_limits<double>::infinity() : largest + std::log(sum);
      const View to = a.lse->Select(0, t).Select(0, h);
      StoreRow(ACL_FLOAT, to.data(), 1, 1, &lse);
    }
  }
}

}  // namespace

void RunLatentAttention(const LatentAttention& a) {
  const std::vector<Run> runs = Runs(a);
  if (runs.empty() || a.query.size(1) == 0) return;
  const int64_t rows = a.ends.back(), block = a.latent.size(1), blocks = a.latent.size(0);
  int64_t width = 1;
  for (const Run& r : runs) width = std::max(width, (r.length + block - 1) / block);

  // The table as the kernel will read it: pages that are there, since it does not look.
  std::vector<int32_t> q_start = {0}, kv_len, table(runs.size() * static_cast<size_t>(width), 0);
  std::vector<bool> broken(runs.size(), false);
  for (size_t i = 0; i < runs.size(); ++i) {
    q_start.push_back(static_cast<int32_t>(runs[i].first + runs[i].rows));
    kv_len.push_back(static_cast<int32_t>(runs[i].length));
    if (runs[i].blind) continue;
    const View row = a.table.Select(0, static_cast<int64_t>(runs[i].sequence));
    for (int64_t p = 0; p < (runs[i].length + block - 1) / block; ++p) {
      const int32_t page = row.as<int32_t>()[p * row.step(0)];
      const bool good = page >= 0 && page < blocks;
      broken[i] = broken[i] || !good;
      table[i * static_cast<size_t>(width) + static_cast<size_t>(p)] = good ? page : 0;
    }
  }

  View query = a.query.Narrow(0, 0, rows), query_rope = a.query_rope.Narrow(0, 0, rows),
       out = a.out.Narrow(0, 0, rows);
  View latent = a.latent, rope = a.rope;
  std::vector<int32_t> kernel_table = table;
  Buffer q_memory, qr_memory, latent_memory, rope_memory, out_memory;
  auto direct = [](const View& v) { return v.step(-1) == 1; };
  const bool narrow = query.dtype == ACL_FLOAT16;
  const aclDataType dtype = narrow ? ACL_FLOAT : query.dtype;
  if (narrow || !direct(query)) query = q_memory = Converted(query, dtype);
  if (narrow || !direct(query_rope)) query_rope = qr_memory = Converted(query_rope, dtype);
  if (narrow || !direct(out)) out = out_memory = Buffer(dtype, a.out.Narrow(0, 0, rows));
  if (narrow || !direct(latent) || !direct(rope)) {
    // Only the pages that are read.
    const auto pages = static_cast<int64_t>(table.size());
    latent_memory = Buffer(dtype, {pages, block, latent.size(2)});
    rope_memory = Buffer(dtype, {pages, block, rope.size(2)});
    for (int64_t p = 0; p < pages; ++p) {
      Convert(latent_memory.view().Select(0, p), latent.Select(0, table[static_cast<size_t>(p)]));
      Convert(rope_memory.view().Select(0, p), rope.Select(0, table[static_cast<size_t>(p)]));
      kernel_table[static_cast<size_t>(p)] = static_cast<int32_t>(p);
    }
    latent = latent_memory;
    rope = rope_memory;
  }
  const auto seqs = static_cast<int64_t>(runs.size());
  const qiao_latent_attention_params params{sizeof(params), static_cast<float>(a.scale), 0};
  const qiao_batch batch{
      sizeof(batch), static_cast<int32_t>(rows), static_cast<int32_t>(seqs), 0, q_start.data(), kv_len.data(),
      nullptr};
  KernelRun(QIAO_OP_LATENT_ATTENTION, &params)
      .Add(query)
      .Add(query_rope)
      .Add(latent)
      .Add(rope)
      .Add(View::Of(ACL_INT32, {seqs + 1}, q_start.data()))
      .Add(View::Of(ACL_INT32, {seqs}, kv_len.data()))
      .Add(View::Of(ACL_INT32, {seqs, width}, kernel_table.data()))
      .AddAbsent()
      .Add(out)
      .Run(&batch);
  if (out_memory.view().base) Convert(a.out.Narrow(0, 0, rows), out_memory);

  for (size_t i = 0; i < runs.size(); ++i) {
    const View mine = a.out.Narrow(0, runs[i].first, runs[i].rows);
    if (runs[i].blind) Fill(mine, 0.0f);
    if (broken[i]) Fill(mine, std::numeric_limits<float>::quiet_NaN());
    if (a.lse) LogSums(a, runs[i], table.data() + i * static_cast<size_t>(width));
  }
}

}  // namespace qiao::cann
