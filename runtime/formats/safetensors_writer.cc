#include "runtime/formats/safetensors_writer.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/checked.h"
#include "runtime/base/json.h"

namespace qiao::formats {
namespace {

// `text` as a JSON string; an error where it is not UTF-8.
absl::StatusOr<std::string> Quoted(const std::string& path, const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const std::exception&) {
    return InvalidArgument("%s: a name or a metadata string is not UTF-8", path);
  }
}

// Declared extents, checked; the sum of all must stay within 63 bits.
absl::StatusOr<uint64_t> SizeOf(const std::string& path, const TensorToWrite& tensor) {
  if (SafetensorsBits(tensor.dtype) == 0) {
    return InvalidArgument("%s: tensor \"%s\": dtype \"%s\" is none of the format's", path, tensor.name,
                           tensor.dtype);
  }
  if (tensor.name.size() > kMaxTensorNameBytes || tensor.name == "__metadata__") {
    return InvalidArgument("%s: tensor \"%s\": is not a name that the format can hold", path,
                           std::string_view(tensor.name).substr(0, 64));
  }
  if (tensor.dims.size() > static_cast<size_t>(kMaxSafetensorsRank)) {
    return InvalidArgument("%s: tensor \"%s\": has %d dimensions, at most %d can be written", path,
                           tensor.name, tensor.dims.size(), kMaxSafetensorsRank);
  }
  const std::optional<int64_t> size_bits = SafetensorsBits(tensor.dtype, tensor.dims);
  if (!size_bits) return InvalidArgument("%s: tensor \"%s\": its shape is impossible", path, tensor.name);
  if (*size_bits % 8 != 0) {
    return InvalidArgument("%s: tensor \"%s\": its %d bits do not fill whole bytes", path, tensor.name,
                           *size_bits);
  }
  return static_cast<uint64_t>(*size_bits / 8);
}

}  // namespace

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                            std::vector<TensorToWrite> tensors,
                                                            const Metadata& metadata, TensorOrder order) {
  if (tensors.size() > kMaxSafetensorsTensors) {
    return InvalidArgument("%s: %d tensors, at most %d can be written to one file", path, tensors.size(),
                           kMaxSafetensorsTensors);
  }
  if (order == TensorOrder::kAligned) {
    std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
      const int a_bits = SafetensorsBits(a.dtype), b_bits = SafetensorsBits(b.dtype);
      return a_bits != b_bits ? a_bits > b_bits : a.name < b.name;
    });
  }

  std::string header = "{";
  if (!metadata.empty()) {
    Json strings = Json::object();
    for (const auto& [key, value] : metadata) {
      if (!strings.emplace(key, value).second) {
        return InvalidArgument("%s: metadata has the key \"%s\" twice", path, key);
      }
    }
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      QIAO_ASSIGN_OR_RETURN(const std::string quoted_key, Quoted(path, key));
      QIAO_ASSIGN_OR_RETURN(const std::string quoted_value, Quoted(path, value));
      absl::StrAppend(&header, header.back() == '{' ? "" : ",", quoted_key, ":", quoted_value);
    }
    header += "}";
  }
  absl::flat_hash_set<absl::string_view> names;
  std::vector<uint64_t> ends;
  uint64_t at = 0;
  for (const TensorToWrite& tensor : tensors) {
    if (!names.insert(Abs(tensor.name)).second) {
      return InvalidArgument("%s: tensor \"%s\": is declared twice", path, tensor.name);
    }
    QIAO_ASSIGN_OR_RETURN(const uint64_t size, SizeOf(path, tensor));
    QIAO_ASSIGN_OR_RETURN(const std::string quoted, Quoted(path, tensor.name));
    if (size > (uint64_t{1} << 62) - at)
      return InvalidArgument("%s: the tensors are too large for one file", path);
    absl::StrAppend(&header, header.size() == 1 ? "" : ",", quoted, ":{\"dtype\":\"", tensor.dtype,
                    "\",\"shape\":[", absl::StrJoin(tensor.dims, ","), "],\"data_offsets\":[", at, ",",
                    at + size, "]}");
    at += size;
    ends.push_back(at);
  }
  header += "}";
  header.append(RoundUp(8 + header.size(), kSafetensorsDataAlignment) - 8 - header.size(), ' ');
  if (header.size() > kMaxSafetensorsHeaderBytes) {
    return InvalidArgument("%s: the header would be %d bytes, the format allows %d; write several files",
                           path, header.size(), kMaxSafetensorsHeaderBytes);
  }

  QIAO_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  const uint64_t length = header.size();
  char prefix[8];
  std::memcpy(prefix, &length, sizeof prefix);
  QIAO_RETURN_IF_ERROR(file.Write(std::string_view(prefix, sizeof prefix)));
  QIAO_RETURN_IF_ERROR(file.Write(header));
  SafetensorsWriter writer(std::move(file));
  writer.tensors_ = std::move(tensors);
  writer.ends_ = std::move(ends);
  return writer;
}

absl::Status SafetensorsWriter::Advance(uint64_t bytes) {
  const uint64_t total = ends_.empty() ? 0 : ends_.back();
  if (bytes > total - written_) {
    return OutOfRange("%s: %d bytes more than the %d that the declared tensors have", writer_.path(),
                      bytes - (total - written_), total);
  }
  written_ += bytes;
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Write(absl::Span<const std::byte> bytes) {
  QIAO_RETURN_IF_ERROR(Advance(bytes.size()));
  return writer_.Write(bytes);
}

absl::Status SafetensorsWriter::WriteHole(uint64_t bytes) {
  QIAO_RETURN_IF_ERROR(Advance(bytes));
  return writer_.Skip(bytes);
}

absl::Status SafetensorsWriter::Commit() {
  const auto next = std::upper_bound(ends_.begin(), ends_.end(), written_);
  if (next != ends_.end()) {
    return FailedPrecondition("%s: tensor \"%s\": %d of its bytes were not written", writer_.path(),
                              tensors_[static_cast<size_t>(next - ends_.begin())].name, *next - written_);
  }
  return writer_.Commit();
}

}  // namespace qiao::formats
