#include "runtime/formats/model_index.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "runtime/base/json_cursor.h"
#include "runtime/formats/safetensors.h"

namespace qiao::formats {
namespace {

// A plain name inside the folder: no folder of its own, nothing that a terminal or a C string would read
// differently.
bool IsPlainFileName(std::string_view name) {
  if (name.empty() || name.size() > kMaxFileNameBytes || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '/' || c == '\\' || byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

absl::StatusOr<ModelIndex> ParseModelIndex(std::string_view text, std::string_view what) {
  if (text.size() > kMaxIndexBytes) {
    return ResourceExhausted("%s: is %d bytes, more than the limit of %d for an index", what, text.size(),
                             kMaxIndexBytes);
  }
  ModelIndex index;
  index.text.assign(text.begin(), text.end());
  std::vector<std::string_view> files;  // in the order of their first use
  absl::flat_hash_map<absl::string_view, uint32_t> file_numbers;
  absl::flat_hash_set<absl::string_view> names;
  bool has_map = false;

  JsonCursor json(absl::MakeSpan(index.text), what);
  QIAO_RETURN_IF_ERROR(json.Object([&](std::string_view key) -> absl::Status {
    if (key != "weight_map") return json.SkipValue();
    if (std::exchange(has_map, true)) return json.Error("duplicate key \"weight_map\"");
    return json.Object([&](std::string_view tensor) -> absl::Status {
      if (tensor.size() > kMaxTensorNameBytes) {
        return json.Error(absl::StrFormat("a tensor's name of more than %d bytes", kMaxTensorNameBytes));
      }
      if (index.tensors.size() == kMaxIndexTensors) {
        return json.Error(absl::StrFormat("more than %d tensors", kMaxIndexTensors));
      }
      QIAO_ASSIGN_OR_RETURN(const std::string_view file, json.ReadString());
      const auto [it, fresh] = file_numbers.emplace(Abs(file), static_cast<uint32_t>(files.size()));
      if (fresh) {
        if (!IsPlainFileName(file)) {
          return json.Error("a weight's file must be a plain name inside the model's folder");
        }
        if (files.size() == kMaxIndexFiles)
          return json.Error(absl::StrFormat("more than %d files", kMaxIndexFiles));
        files.push_back(file);
      }
      if (!names.insert(Abs(tensor)).second) {
        return json.Error(absl::StrFormat("tensor \"%s\" is in the index twice", tensor));
      }
      index.tensors.push_back({tensor, it->second});
      return absl::OkStatus();
    });
  }));
  QIAO_RETURN_IF_ERROR(json.End());
  if (!has_map) return InvalidArgument("%s: has no \"weight_map\"", what);

  std::vector<uint32_t> order(files.size()), place(files.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return files[a] < files[b]; });
  for (uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    index.files.emplace_back(files[order[i]]);
  }
  for (ModelIndex::Entry& entry : index.tensors) entry.file = place[entry.file];
  return index;
}

}  // namespace qiao::formats
