#include "tools/infer/bench_report.h"

#include <algorithm>
#include <cstdio>

#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// Of one run: the median, and the ends.
struct Spread {
  double median = 0, least = 0, most = 0;
};

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

double TokensOf(const BenchReport& report, const BenchCase& c) {
  return static_cast<double>(c.prefill ? c.tokens : c.batch * report.steps);
}

bool ReadsBind(const Limits& limits, const CaseWork& work) {
  size_t reads = 0;
  for (const Demand& demand : work.demands) reads += BoundByReads(limits, demand) ? 1 : 0;
  return 2 * reads >= work.demands.size();
}

std::string Dim(std::string_view text) { return Out(Style::kDim, text); }

void PrintFacts(const BenchReport& r) {
  Table table = PrintHeading(r.facts);
  if (r.limits) {
    table.Row({"limits", OneLine(*r.limits)});
    for (const std::string& line : r.limits->how) table.Row({"", Dim(Printable(line))});
  } else {
    table.Row({"limits", "no limits measured by this backend, so no shares of them"});
  }
  table.Row({"loading", absl::StrFormat("%.2f s, and %.2f s to the first token of a prompt of %d: %.2f s",
                                        r.load_seconds, r.first_prompt_seconds, r.first_prompt,
                                        r.load_seconds + r.first_prompt_seconds)});
  table.Row({"memory", absl::StrFormat("peak %s (VmHWM%s); at the end %s its own (RssAnon) and %s of files "
                                       "(RssFile)",
                                       Bytes(r.memory.peak),
                                       r.memory_peak_is_models ? "" : ", with what limits were measured on",
                                       Bytes(r.memory.anonymous), Bytes(r.memory.file))});
  table.Row({"cache", absl::StrFormat("%s B a token (%s)", Grouped(r.cache_bytes_per_token), r.kv_dtype)});
  std::fputs(table.Text().c_str(), stdout);
}

void PrintResults(const BenchReport& r) {
  Table table({Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight, Table::kRight,
               Table::kLeft, Table::kRight});
  table.Row({Dim("case"), Dim("tokens/s"), Dim("slowest"), Dim("fastest"), Dim("limit"), Dim("share"),
             Dim("bound by"), Dim("experts")});
  for (const BenchResult& result : r.results) {
    const Spread seconds = SpreadOf(result.seconds);
    const double tokens = TokensOf(r, result.what);
    std::string limit = "-", share = "-", bound = "-";
    if (r.limits) {
      const double roofline = result.work.RooflineSeconds(*r.limits);
      limit = Rate(tokens / roofline);
      share = absl::StrFormat("%.1f %%", 100 * roofline / seconds.median);
      bound = ReadsBind(*r.limits, result.work) ? "reads" : "arithmetic";
    }
    table.Row({NameOf(result.what), Out(Style::kBold, Rate(tokens / seconds.median)),
               Rate(tokens / seconds.most), Rate(tokens / seconds.least), limit, share, bound,
               result.work.experts > 0 ? absl::StrFormat("%.1f", result.work.experts) : std::string("-")});
  }
  std::printf("\n%s", table.Text().c_str());
  std::printf("  %s\n",
              Dim(absl::StrFormat("medians of %d; decode: %d tokens of each sequence; caches deeper than %d "
                                  "tokens repeat them; ids from seed %d",
                                  r.repeat, r.steps, Workbench::kComputed, r.seed))
                  .c_str());
  for (const BenchPlan::Skipped& skipped : r.skipped) {
    std::printf("  %s: %s\n", Out(Style::kYellow, "skipped " + NameOf(skipped.what)).c_str(),
                skipped.why.c_str());
  }
}

// What the order that is fastest brings.
void PrintOrders(const BenchReport& r) {
  if (r.results.empty() || r.results.front().row_order_seconds.empty()) return;
  Table table({Table::kLeft, Table::kRight, Table::kRight, Table::kRight});
  table.Row({Dim("case"), Dim("row-invariant"), Dim("fast order"), Dim("times")});
  for (const BenchResult& result : r.results) {
    const double tokens = TokensOf(r, result.what);
    const double row = tokens / SpreadOf(result.row_order_seconds).median;
    const double fast = tokens / SpreadOf(result.seconds).median;
    table.Row({NameOf(result.what), Rate(row), Rate(fast), absl::StrFormat("%.2f", fast / row)});
  }
  std::printf("\n%s", table.Text().c_str());
}

void PutCase(OrderedJson& json, const BenchCase& c) {
  json["kind"] = c.prefill ? "prefill" : "decode";
  if (c.prefill) {
    json["tokens"] = c.tokens;
  } else {
    json["depth"] = c.depth;
    json["batch"] = c.batch;
  }
}

OrderedJson ToJson(const BenchReport& r, const BenchResult& result, bool profile) {
  const Spread seconds = SpreadOf(result.seconds);
  const double tokens = TokensOf(r, result.what);
  OrderedJson json;
  PutCase(json, result.what);
  json["tokens_per_s"] = tokens / seconds.median;
  json["roofline_share"] = nullptr;
  if (r.limits) json["roofline_share"] = result.work.RooflineSeconds(*r.limits) / seconds.median;
  json["tokens_per_s_min"] = tokens / seconds.most;
  json["tokens_per_s_max"] = tokens / seconds.least;
  if (r.limits) {
    json["roofline_tokens_per_s"] = tokens / result.work.RooflineSeconds(*r.limits);
    json["bound"] = ReadsBind(*r.limits, result.work) ? "reads" : "arithmetic";
  }
  json["seconds"] = result.seconds;
  json["flops_per_token"] = result.work.flops() / tokens;
  json["bytes_per_token"] = result.work.bytes() / tokens;
  json["experts_touched"] = result.work.experts;
  if (!result.row_order_seconds.empty()) {
    const double row = SpreadOf(result.row_order_seconds).median;
    json["row_order_tokens_per_s"] = tokens / row;
    json["times_row_order"] = row / seconds.median;
  }
  if (profile) json["profile"] = result.work.profile.ToJson();
  return json;
}

}  // namespace

void Print(const BenchReport& report, bool profile) {
  PrintFacts(report);
  PrintResults(report);
  PrintOrders(report);
  if (!profile) return;
  for (const BenchResult& result : report.results) {
    std::printf("\n%s  %s\n%s", Out(Style::kBold, NameOf(result.what)).c_str(),
                Dim(absl::StrFormat("%.1f ms in operations, one by one", 1e3 * result.work.profile.seconds()))
                    .c_str(),
                result.work.profile.Text().c_str());
  }
}

OrderedJson ToJson(const BenchReport& r, bool profile) {
  OrderedJson json;
  json["model"] = r.facts.model;
  json["family"] = r.facts.family;
  json["weight_format"] = r.facts.weight_format;
  json["backend"] = r.facts.backend;
  json["device"] = r.facts.device;
  json["numerics"] = r.facts.numerics;
  json["kv_dtype"] = r.kv_dtype;
  json["row_invariant"] = r.facts.row_invariant;
  json["threads"] = r.threads;
  json["machine"] = r.facts.machine;
  json["date"] = r.facts.date;
  json["seed"] = r.seed;
  json["repeat"] = r.repeat;
  json["steps"] = r.steps;
  json["load_seconds"] = r.load_seconds;
  json["first_prompt_tokens"] = r.first_prompt;
  json["first_prompt_seconds"] = r.first_prompt_seconds;
  json["time_to_first_token_seconds"] = r.load_seconds + r.first_prompt_seconds;
  json["peak_memory_bytes"] = r.memory.peak;
  json["peak_memory_without_limits"] = r.memory_peak_is_models;
  json["anonymous_memory_bytes"] = r.memory.anonymous;
  json["file_memory_bytes"] = r.memory.file;
  json["mapped_weight_bytes"] = r.mapped_weights;
  json["stored_weight_bytes"] = r.stored_weights;
  json["kv_bytes_per_token"] = r.cache_bytes_per_token;
  json["limits"] = ToJson(r.limits);
  json["results"] = OrderedJson::array();
  for (const BenchResult& result : r.results) json["results"].push_back(ToJson(r, result, profile));
  json["skipped"] = OrderedJson::array();
  for (const BenchPlan::Skipped& skipped : r.skipped) {
    OrderedJson line;
    PutCase(line, skipped.what);
    line["reason"] = skipped.why;
    json["skipped"].push_back(std::move(line));
  }
  return json;
}

}  // namespace qiao::tools
