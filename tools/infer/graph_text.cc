#include "tools/infer/graph_text.h"

#include <cstdio>
#include <map>

#include "runtime/base/json.h"
#include "runtime/ops/catalogue.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// A node's arguments: "x bf16[1,256]" each, those that it reads and those that it writes.
struct Arguments {
  std::vector<std::string> in, out;
};

Arguments Describe(const program::LoweredGraph& graph, const program::LoweredNode& node) {
  Arguments arguments;
  const ops::OpSpec* spec = ops::Find(node.node.op);
  const std::vector<ops::ArgSpec> args =
      spec == nullptr ? std::vector<ops::ArgSpec>() : spec->args(node.node.params.data());
  for (size_t i = 0; i < node.node.args.size(); ++i) {
    const ops::ValueId id = node.node.args[i];
    if (id == ops::kNoValue) continue;
    const qiao_tensor tensor = i < node.tensors.size() ? node.tensors[i] : graph.graph.value(id).tensor;
    std::string text = Printable(graph.graph.value(id).name) + " " + ops::ToString(tensor);
    const ops::ArgSpec::Kind kind = i < args.size() ? args[i].kind : ops::ArgSpec::kIn;
    if (kind != ops::ArgSpec::kOut) arguments.in.push_back(text);
    if (kind != ops::ArgSpec::kIn) arguments.out.push_back(std::move(text));
  }
  return arguments;
}

// The graph has the devices' numbers, the placement their names.
class DeviceNames {
 public:
  explicit DeviceNames(const program::ProgramSet& programs) {
    for (const program::PlacementRow& row : programs.placement()) names_.try_emplace(row.name, row.device);
  }
  std::string_view Of(const program::LoweredNode& node) const {
    const auto name = names_.find(node.node.name);
    return name != names_.end() ? std::string_view(name->second) : node.device == 0 ? "device" : "fallback";
  }

 private:
  std::map<std::string, std::string> names_;
};

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

OrderedJson ToJson(const program::ProgramSet& programs, const DeviceNames& devices, int32_t index) {
  const program::Bucket& bucket = programs.buckets()[static_cast<size_t>(index)];
  OrderedJson json{{"rows", bucket.rows},
                   {"seqs", bucket.seqs},
                   {"logit_rows", bucket.logit_rows},
                   {"table_width", bucket.table_width}};
  json["nodes"] = OrderedJson::array();
  const program::LoweredGraph& graph = programs.lowered(index);
  for (const program::LoweredNode& node : graph.nodes) {
    Arguments arguments = Describe(graph, node);
    json["nodes"].push_back({{"name", node.node.name},
                             {"op", ops::OpName(node.node.op)},
                             {"device", devices.Of(node)},
                             {"in", std::move(arguments.in)},
                             {"out", std::move(arguments.out)}});
  }
  return json;
}

void Print(const program::ProgramSet& programs, const DeviceNames& devices, int32_t index) {
  const program::Bucket& bucket = programs.buckets()[static_cast<size_t>(index)];
  const program::LoweredGraph& graph = programs.lowered(index);
  const std::string title =
      absl::StrFormat("Step of up to %d rows, %d sequences, %d rows of logits, %d pages a sequence: %d nodes",
                      bucket.rows, bucket.seqs, bucket.logit_rows, bucket.table_width, graph.nodes.size());
  std::printf("%s\n", Out(Style::kBold, title).c_str());
  for (const program::LoweredNode& node : graph.nodes) {
    const Arguments arguments = Describe(graph, node);
    std::printf(
        "  %s = %s(%s)  %s\n", Out(Style::kCyan, Join(arguments.out)).c_str(),
        std::string(ops::OpName(node.node.op)).c_str(), Join(arguments.in).c_str(),
        Out(Style::kDim, absl::StrFormat("# %s, %s", Printable(node.node.name), devices.Of(node))).c_str());
  }
}

}  // namespace

absl::Status PrintProgram(const program::ProgramSet& programs, bool json) {
  const DeviceNames devices(programs);
  const auto last = static_cast<int32_t>(programs.buckets().size()) - 1;
  if (json) {
    OrderedJson all{{"buckets", programs.buckets().size()}};
    all["programs"] = OrderedJson::array({ToJson(programs, devices, 0)});
    if (last > 0) all["programs"].push_back(ToJson(programs, devices, last));
    PrintJson(all);
    return absl::OkStatus();
  }
  Print(programs, devices, 0);
  if (last > 0) {
    std::printf("\n");
    Print(programs, devices, last);
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
