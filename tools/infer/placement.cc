#include "tools/infer/placement.h"

#include <charconv>
#include <map>
#include <tuple>

#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// "layers.3.mlp" is layer 3 of "mlp"; -1 for what belongs to no layer.
struct LayerName {
  int64_t layer = -1;
  std::string rest;
};

LayerName Split(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  if (!name.starts_with(kPrefix)) return {-1, name};
  LayerName split;
  const char* begin = name.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), split.layer);
  if (error != std::errc() || split.layer < 0) return {-1, name};
  split.rest.assign(end, name.data() + name.size());
  return split;
}

// "0,2-5"
std::string Ranges(const std::vector<int64_t>& sorted) {
  std::string text;
  for (size_t i = 0; i < sorted.size();) {
    size_t end = i;
    while (end + 1 < sorted.size() && sorted[end + 1] == sorted[end] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(sorted[i]);
    if (end > i) absl::StrAppendFormat(&text, "-%d", sorted[end]);
    i = end + 1;
  }
  return text;
}

std::string_view TierName(program::Tier tier) {
  switch (tier) {
    case program::Tier::kNative:
      return "native";
    case program::Tier::kDecomposed:
      return "decomposed";
    case program::Tier::kFallback:
      return "fallback";
  }
  return "";
}

}  // namespace

std::string PlacementTable(absl::Span<const program::PlacementRow> rows) {
  struct Group {
    const program::PlacementRow* row;
    std::string rest;
    std::vector<int64_t> layers;
  };
  std::vector<Group> groups;
  std::map<std::tuple<std::string, std::string, std::string, int, std::string, std::string>, size_t> index;
  for (const program::PlacementRow& row : rows) {
    LayerName name = Split(row.name);
    const bool layered = name.layer >= 0;
    const auto [at, fresh] = index.try_emplace({(layered ? "." : "") + name.rest, row.op, row.device,
                                                static_cast<int>(row.tier), row.shapes, row.why},
                                               groups.size());
    if (fresh) groups.push_back({&row, name.rest, {}});
    if (layered) groups[at->second].layers.push_back(name.layer);
  }
  Table table({Table::kLeft, Table::kLeft, Table::kLeft, Table::kLeft, Table::kLeft});
  table.Row({Err(Style::kDim, "node"), Err(Style::kDim, "operation"), Err(Style::kDim, "device"),
             Err(Style::kDim, "how"), Err(Style::kDim, "shapes and reason")});
  std::string last_why;
  for (const Group& group : groups) {
    const program::PlacementRow& row = *group.row;
    const std::string name = group.layers.empty() ? row.name : "layers." + Ranges(group.layers) + group.rest;
    const Style style = row.tier == program::Tier::kFallback ? Style::kYellow : Style::kGreen;
    table.Row({Printable(name), row.op, row.device, Err(style, TierName(row.tier)), Printable(row.shapes)});
    // A device that lacks many operations has one reason for most of them.
    if (!row.why.empty() && row.why != last_why)
      table.Row({"", "", "", "", Err(Style::kDim, Printable(row.why))});
    last_why = row.why;
  }
  return table.Text();
}

}  // namespace qiao::tools
