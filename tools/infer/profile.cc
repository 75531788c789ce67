#include "tools/infer/profile.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

void AddTo(Profile::Sum& sum, const OperationReport& launch, double roofline_seconds) {
  ++sum.calls;
  sum.seconds += launch.seconds;
  sum.flops += launch.flops;
  sum.bytes += launch.bytes;
  sum.roofline_seconds += roofline_seconds;
}

double Per(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

// Entries of a map, the slowest first.
template <typename Map, typename SumOf>
std::vector<const typename Map::value_type*> ByTime(const Map& map, const SumOf& sum_of) {
  std::vector<const typename Map::value_type*> entries;
  for (const auto& entry : map) entries.push_back(&entry);
  std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
    return sum_of(a->second).seconds > sum_of(b->second).seconds;
  });
  return entries;
}

std::string Time(double seconds) {
  if (seconds < 1e-3) return absl::StrFormat("%.1f us", seconds * 1e6);
  return seconds < 1 ? absl::StrFormat("%.2f ms", seconds * 1e3) : absl::StrFormat("%.2f s", seconds);
}

std::vector<std::string> Cells(std::string name, std::string kernel, const Profile::Sum& sum, double total) {
  return {std::move(name),
          std::move(kernel),
          Grouped(static_cast<uint64_t>(sum.calls)),
          Time(sum.seconds),
          absl::StrFormat("%.1f %%", 100 * Per(sum.seconds, total)),
          absl::StrFormat("%.1f", Per(sum.bytes, sum.seconds) / 1e9),
          absl::StrFormat("%.1f", Per(sum.flops, sum.seconds) / 1e9),
          sum.roofline_seconds > 0 ? absl::StrFormat("%.0f %%", 100 * Per(sum.roofline_seconds, sum.seconds))
                                   : std::string("-")};
}

void Put(OrderedJson& json, const Profile::Sum& sum, double total) {
  json["calls"] = sum.calls;
  json["seconds"] = sum.seconds;
  json["share"] = Per(sum.seconds, total);
  json["gb_per_s"] = Per(sum.bytes, sum.seconds) / 1e9;
  json["gflop_per_s"] = Per(sum.flops, sum.seconds) / 1e9;
  json["roofline_share"] = nullptr;
  if (sum.roofline_seconds > 0) json["roofline_share"] = Per(sum.roofline_seconds, sum.seconds);
}

const Profile::Sum& Itself(const Profile::Sum& sum) { return sum; }

}  // namespace

void Profile::Add(const OperationReport& launch, const std::optional<Limits>& limits) {
  double roofline_seconds = 0;
  if (limits) {
    Demand demand;
    demand.bytes = launch.bytes;
    for (size_t i = 0; i < demand.flops.size(); ++i) {
      if (Name(static_cast<program::Arithmetic>(i)) == launch.arithmetic) demand.flops[i] = launch.flops;
    }
    roofline_seconds = RooflineSeconds(*limits, demand);
  }
  Row& row = rows_[{std::string(launch.operation), std::string(launch.kernel)}];
  AddTo(row.sum, launch, roofline_seconds);
  AddTo(row.nodes[WithoutNumbers(launch.node)], launch, roofline_seconds);
}

double Profile::seconds() const {
  double total = 0;
  for (const auto& [key, row] : rows_) total += row.sum.seconds;
  return total;
}

std::string Profile::Text() const {
  const double total = seconds();
  Table table({Table::kLeft, Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight,
               Table::kRight, Table::kRight});
  table.Row({"operation", "kernel", "calls", "time", "share", "GB/s", "GFLOP/s", "of roofline"});
  for (const auto* entry : ByTime(rows_, [](const Row& row) -> const Sum& { return row.sum; })) {
    const auto& [key, row] = *entry;
    table.Row(Cells(key.first, Printable(key.second), row.sum, total));
    if (row.nodes.size() < 2) continue;
    for (const auto* node : ByTime(row.nodes, Itself)) {
      table.Row(Cells("  " + Printable(node->first), "", node->second, total));
    }
  }
  return table.Text();
}

OrderedJson Profile::ToJson() const {
  const double total = seconds();
  OrderedJson json = OrderedJson::array();
  for (const auto* entry : ByTime(rows_, [](const Row& row) -> const Sum& { return row.sum; })) {
    const auto& [key, row] = *entry;
    OrderedJson line;
    line["operation"] = key.first;
    line["kernel"] = key.second;
    Put(line, row.sum, total);
    line["nodes"] = OrderedJson::array();
    for (const auto* node : ByTime(row.nodes, Itself)) {
      OrderedJson place;
      place["node"] = node->first;
      Put(place, node->second, total);
      line["nodes"].push_back(std::move(place));
    }
    json.push_back(std::move(line));
  }
  return json;
}

std::string WithoutNumbers(std::string_view node) {
  std::vector<std::string> parts = absl::StrSplit(absl::string_view(node.data(), node.size()), '.');
  for (std::string& part : parts) {
    if (!part.empty() && part.find_first_not_of("0123456789") == std::string::npos) part = "*";
  }
  return absl::StrJoin(parts, ".");
}

}  // namespace qiao::tools
