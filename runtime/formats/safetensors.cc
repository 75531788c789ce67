#include "runtime/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "runtime/base/checked.h"
#include "runtime/base/json_cursor.h"

namespace qiao::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are used as they lie");

constexpr size_t kLengthBytes = 8;

struct DTypeRow {
  std::string_view name;
  int bits;
};

// Every dtype of the format (safetensors 0.7, enum Dtype).
constexpr std::array<DTypeRow, 22> kDTypes = {{
    {"BF16", 16},   {"F32", 32},    {"F8_E4M3", 8},     {"F16", 16},        {"I64", 64},    {"I32", 32},
    {"F8_E8M0", 8}, {"I8", 8},      {"U8", 8},          {"BOOL", 8},        {"F8_E5M2", 8}, {"F64", 64},
    {"I16", 16},    {"U16", 16},    {"U32", 32},        {"U64", 64},        {"C64", 64},    {"F4", 4},
    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
}};

constexpr int64_t kTooMany = -1;

// A header entry before its extent has been checked against the others.
struct Entry {
  TensorView view;
  int64_t elements = 1;  // or kTooMany
  int64_t begin = 0;
  int64_t end = 0;
};

// Reads the value of one tensor's key: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}. Other
// keys are passed over, as the format's own reader does.
absl::Status ReadEntry(JsonCursor& json, Entry& entry) {
  bool has_dtype = false, has_shape = false, has_offsets = false;
  std::array<int64_t, Shape::kMaxRank> dims;
  const auto once = [&](bool& seen, std::string_view key) {
    return std::exchange(seen, true) ? json.Error(absl::StrFormat("duplicate key \"%s\"", key))
                                     : absl::OkStatus();
  };
  QIAO_RETURN_IF_ERROR(json.Object([&](std::string_view key) -> absl::Status {
    if (key == "dtype") {
      QIAO_RETURN_IF_ERROR(once(has_dtype, key));
      QIAO_ASSIGN_OR_RETURN(entry.view.dtype_name, json.ReadString());
    } else if (key == "shape") {
      QIAO_RETURN_IF_ERROR(once(has_shape, key));
      return json.Array([&]() -> absl::Status {
        if (entry.view.rank == kMaxSafetensorsRank) {
          return json.Error(absl::StrFormat("a tensor of more than %d dimensions", kMaxSafetensorsRank));
        }
        QIAO_ASSIGN_OR_RETURN(const int64_t dim, json.ReadUnsigned());
        if (entry.view.rank < Shape::kMaxRank) dims[static_cast<size_t>(entry.view.rank)] = dim;
        ++entry.view.rank;
        // As in the format's own reader, the running product must fit even where a later dimension is 0.
        if (entry.elements != kTooMany) entry.elements = CheckedMul(entry.elements, dim).value_or(kTooMany);
        return absl::OkStatus();
      });
    } else if (key == "data_offsets") {
      QIAO_RETURN_IF_ERROR(once(has_offsets, key));
      int n = 0;
      QIAO_RETURN_IF_ERROR(json.Array([&]() -> absl::Status {
        if (n == 2) return json.Error("data_offsets has more than two numbers");
        QIAO_ASSIGN_OR_RETURN((n++ == 0 ? entry.begin : entry.end), json.ReadUnsigned());
        return absl::OkStatus();
      }));
      if (n != 2) return json.Error("data_offsets has fewer than two numbers");
    } else {
      return json.SkipValue();
    }
    return absl::OkStatus();
  }));
  if (!has_dtype) return json.Error("a tensor without \"dtype\"");
  if (!has_shape) return json.Error("a tensor without \"shape\"");
  if (!has_offsets) return json.Error("a tensor without \"data_offsets\"");
  if (entry.view.rank <= Shape::kMaxRank) {
    entry.view.shape = Shape(absl::MakeConstSpan(dims.data(), static_cast<size_t>(entry.view.rank)));
  }
  return absl::OkStatus();
}

// Fills in the dtype, and checks that they give the extent that the offsets give.
absl::Status CheckExtent(Entry& entry, std::string_view path) {
  TensorView& view = entry.view;
  const int bits = SafetensorsBits(view.dtype_name);
  if (bits == 0) {
    return InvalidArgument("%s: tensor \"%s\": dtype \"%s\" is none of the format's", path, view.name,
                           view.dtype_name.substr(0, 32));
  }
  view.dtype = DTypeFromSafetensors(view.dtype_name).value_or(DType::kInvalid);
  std::optional<int64_t> size_bits;
  if (entry.elements != kTooMany) size_bits = CheckedMul(entry.elements, bits);
  if (!size_bits)
    return InvalidArgument("%s: tensor \"%s\": its shape has too many elements", path, view.name);
  if (*size_bits % 8 != 0) {
    return InvalidArgument("%s: tensor \"%s\": its %d bits of %s do not fill whole bytes", path, view.name,
                           *size_bits, view.dtype_name);
  }
  if (entry.end < entry.begin || entry.end - entry.begin != *size_bits / 8) {
    return InvalidArgument(
        "%s: tensor \"%s\": data_offsets [%d, %d] do not span the %d bytes of its shape and dtype", path,
        view.name, entry.begin, entry.end, *size_bits / 8);
  }
  return absl::OkStatus();
}

}  // namespace

int SafetensorsBits(std::string_view dtype_name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == dtype_name) return row.bits;
  }
  return 0;
}

std::optional<int64_t> SafetensorsBits(std::string_view dtype_name, absl::Span<const int64_t> dims) {
  std::optional<int64_t> bits = SafetensorsBits(dtype_name);
  if (*bits == 0) return std::nullopt;
  for (const int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    bits = CheckedMul(*bits, dim);
    if (!bits) return std::nullopt;
  }
  return bits;
}

absl::Status TensorView::CheckUsable() const {
  if (dtype == DType::kInvalid) {
    return Unimplemented(
        "tensor \"%s\": dtype %s is not supported yet; convert the checkpoint to BF16 or F32", name,
        dtype_name);
  }
  if (!packing.empty()) {
    return Unimplemented(
        "tensor \"%s\": is packed for %s, which no backend of this Qiao reads; convert it again with --pack "
        "neutral",
        name, packing);
  }
  if (rank > Shape::kMaxRank) {
    return Unimplemented("tensor \"%s\": has %d dimensions; at most %d are supported", name, rank,
                         Shape::kMaxRank);
  }
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path, std::string_view shown_as) {
  SafetensorsFile file;
  file.path_ = shown_as.empty() ? path : std::string(shown_as);
  QIAO_ASSIGN_OR_RETURN(file.file_, MappedFile::Open(path));
  QIAO_RETURN_IF_ERROR(file.ReadHeader(file.file_.bytes()));
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(absl::Span<const std::byte> bytes,
                                                       std::string_view what) {
  SafetensorsFile file;
  file.path_ = what;
  QIAO_RETURN_IF_ERROR(file.ReadHeader(bytes));
  return file;
}

const TensorView* SafetensorsFile::Find(std::string_view name) const {
  const auto it = by_name_.find(Abs(name));
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

absl::Status SafetensorsFile::ReadHeader(absl::Span<const std::byte> bytes) {
  file_bytes_ = bytes.size();
  if (bytes.size() < kLengthBytes) {
    return InvalidArgument("%s: is %d bytes, too short for a safetensors file", path_, bytes.size());
  }
  uint64_t length;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxSafetensorsHeaderBytes) {
    return InvalidArgument(
        "%s: is not a safetensors file: its header would be %d bytes, the format allows %d", path_, length,
        kMaxSafetensorsHeaderBytes);
  }
  if (length > bytes.size() - kLengthBytes) {
    return InvalidArgument(
        "%s: is cut short: its header should be %d bytes, the file has %d; download it again", path_, length,
        bytes.size() - kLengthBytes);
  }
  if (length == 0 || bytes[kLengthBytes] != std::byte{'{'}) {
    return InvalidArgument("%s: is not a safetensors file: its header does not begin with '{'", path_);
  }
  header_.reset(new char[length]);
  std::memcpy(header_.get(), bytes.data() + kLengthBytes, length);

  std::vector<Entry> entries;
  bool has_metadata = false;
  JsonCursor json(absl::MakeSpan(header_.get(), length), path_, kLengthBytes);
  QIAO_RETURN_IF_ERROR(json.Object([&](std::string_view key) -> absl::Status {
    if (key == "__metadata__") {
      if (std::exchange(has_metadata, true)) return json.Error("duplicate key \"__metadata__\"");
      absl::flat_hash_set<absl::string_view> keys;
      return json.Object([&](std::string_view name) -> absl::Status {
        if (!keys.insert(Abs(name)).second) return json.Error("duplicate key in __metadata__");
        QIAO_ASSIGN_OR_RETURN(std::string_view value, json.ReadString());
        metadata_.emplace_back(name, value);
        return absl::OkStatus();
      });
    }
    if (key.size() > kMaxTensorNameBytes) {
      return json.Error(absl::StrFormat("a tensor's name of more than %d bytes", kMaxTensorNameBytes));
    }
    if (entries.size() == kMaxSafetensorsTensors) {
      return json.Error(absl::StrFormat("more than %d tensors", kMaxSafetensorsTensors));
    }
    Entry& entry = entries.emplace_back();
    entry.view.name = key;
    return ReadEntry(json, entry);
  }));
  QIAO_RETURN_IF_ERROR(json.End());

  // Sorted by where they begin, the tensors must follow each other without a gap from the first byte to the
  // last; that excludes overlaps, holes and bytes that belong to nobody at once. An empty tensor sorts before
  // the one that begins where it lies; several empty ones keep the header's order, which the addresses of
  // their names have.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tuple(a.begin, a.end, a.view.name.data()) < std::tuple(b.begin, b.end, b.view.name.data());
  });
  const uint64_t data_offset = kLengthBytes + length;
  const uint64_t data_bytes = bytes.size() - data_offset;
  uint64_t at = 0;
  for (Entry& entry : entries) {
    QIAO_RETURN_IF_ERROR(CheckExtent(entry, path_));
    const auto begin = static_cast<uint64_t>(entry.begin);
    const auto end = static_cast<uint64_t>(entry.end);
    if (end > data_bytes) {
      return InvalidArgument(
          "%s: tensor \"%s\": ends at byte %d of the data, which has only %d; is the file cut short?", path_,
          entry.view.name, end, data_bytes);
    }
    if (begin != at) {
      return InvalidArgument(
          "%s: tensor \"%s\": begins at byte %d of the data, %s the end of the one before it at %d", path_,
          entry.view.name, begin, begin < at ? "before" : "after", at);
    }
    entry.view.offset = data_offset + begin;
    entry.view.data = bytes.subspan(data_offset + begin, end - begin);
    at = end;
  }
  if (at != data_bytes) {
    return InvalidArgument("%s: has %d bytes after its last tensor, which the format forbids", path_,
                           data_bytes - at);
  }

  tensors_.reserve(entries.size());
  by_name_.reserve(entries.size());
  for (const Entry& entry : entries) {
    if (!by_name_.emplace(Abs(entry.view.name), static_cast<uint32_t>(tensors_.size())).second) {
      return InvalidArgument("%s: tensor \"%s\": is in the header twice", path_, entry.view.name);
    }
    tensors_.push_back(entry.view);
  }
  return absl::OkStatus();
}

}  // namespace qiao::formats
