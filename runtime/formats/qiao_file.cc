#include "runtime/formats/qiao_file.h"

#include <qiao_file_generated.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "runtime/base/checked.h"
#include "runtime/base/checksum.h"
#include "runtime/base/threads.h"
#include "runtime/formats/qiao_prologue.h"

namespace qiao::formats {
namespace {

// Where a text or tensor lies, for the rules that hold over all of them.
struct Extent {
  uint64_t begin, end;
  std::string_view name;
};

std::string_view View(const flatbuffers::String* s) {
  return s == nullptr ? std::string_view() : std::string_view(s->c_str(), s->size());
}

// How an error names a text or tensor. Formatted for errors alone: a model has some 100,000 tensors.
using Naming = absl::FunctionRef<std::string()>;

std::string Where(std::string_view path, std::string_view kind, std::string_view name) {
  return absl::StrFormat("%s: %s \"%s\"", path, kind, name.substr(0, 200));
}

absl::Status CheckName(std::string_view name, std::string_view path, std::string_view kind) {
  if (name.empty() || name.size() > kMaxTensorNameBytes || name.find('\0') != std::string_view::npos)
    return InvalidArgument("%s: has an impossible name", Where(path, kind, name));
  return absl::OkStatus();
}

// The bytes that shape and dtype make; fills in both.
absl::StatusOr<uint64_t> SetShape(const fb::Tensor& tensor, TensorView& view, Naming where) {
  if (SafetensorsBits(view.dtype_name) == 0)
    return InvalidArgument("%s: dtype \"%s\" is not known", where(), view.dtype_name.substr(0, 32));
  view.dtype = DTypeFromSafetensors(view.dtype_name).value_or(DType::kInvalid);
  const size_t rank = tensor.shape() == nullptr ? 0 : tensor.shape()->size();
  if (rank > static_cast<size_t>(kMaxSafetensorsRank))
    return InvalidArgument("%s: has %d dimensions, at most %d", where(), rank, kMaxSafetensorsRank);
  // The verifier looks at where a vector begins, whose length has four bytes, and not at its elements, which
  // have eight.
  if (rank > 0 && reinterpret_cast<uintptr_t>(tensor.shape()->Data()) % sizeof(uint64_t) != 0)
    return InvalidArgument("%s: its shape is misaligned", where());
  view.rank = static_cast<int>(rank);
  int64_t dims[kMaxSafetensorsRank] = {};
  bool fits = true;
  for (size_t i = 0; i < rank; ++i) {
    const uint64_t dim = tensor.shape()->Get(static_cast<flatbuffers::uoffset_t>(i));
    fits = fits && dim <= uint64_t{kMaxQiaoDim};
    dims[i] = static_cast<int64_t>(dim);
  }
  const absl::Span<const int64_t> shape(dims, rank);
  const std::optional<int64_t> size_bits = fits ? SafetensorsBits(view.dtype_name, shape) : std::nullopt;
  if (!size_bits) return InvalidArgument("%s: its shape has too many elements", where());
  if (*size_bits % 8 != 0)
    return InvalidArgument("%s: its %d bits do not fill whole bytes", where(), *size_bits);
  if (view.rank <= Shape::kMaxRank) view.shape = Shape(shape);
  return static_cast<uint64_t>(*size_bits / 8);
}

absl::StatusOr<QiaoPrologue> ReadPrologue(absl::Span<const std::byte> bytes, std::string_view path) {
  QiaoPrologue p;
  if (bytes.size() < sizeof(p)) {
    return InvalidArgument("%s: is %d bytes, and a .qiao file begins with %d", path, bytes.size(), sizeof(p));
  }
  std::memcpy(&p, bytes.data(), sizeof(p));
  if (std::memcmp(p.magic, kQiaoMagic, sizeof(kQiaoMagic)) != 0)
    return InvalidArgument("%s: is not a .qiao file: it begins otherwise", path);
  if (p.checksum != p.Sum()) {
    return DataLoss("%s: its first 64 bytes are damaged (their checksum differs); copy or convert it again",
                    path);
  }
  if (p.version != kQiaoVersion) {
    return Unimplemented("%s: is version %d of the format, and this Qiao reads version %d; convert it again",
                         path, p.version, kQiaoVersion);
  }
  if (p.file_bytes != bytes.size()) {
    return DataLoss("%s: is %d bytes and was written with %d; is it cut short?", path, bytes.size(),
                    p.file_bytes);
  }
  if (p.header_bytes > kMaxQiaoHeaderBytes) {
    return ResourceExhausted("%s: its header is %d bytes, at most %d are read", path, p.header_bytes,
                             kMaxQiaoHeaderBytes);
  }
  if (p.header_offset < sizeof(p) || p.header_offset > p.file_bytes ||
      p.header_bytes != p.file_bytes - p.header_offset) {
    return InvalidArgument("%s: a header of %d bytes at byte %d does not end a file of %d", path,
                           p.header_bytes, p.header_offset, p.file_bytes);
  }
  return p;
}

}  // namespace

absl::StatusOr<Verify> ParseVerify(std::string_view name) {
  if (name == "auto") return Verify::kAuto;
  if (name == "all") return Verify::kAll;
  if (name == "header") return Verify::kHeader;
  return InvalidArgument("verify \"%s\" is not known; there are auto, all and header", name);
}

absl::StatusOr<QiaoFile> QiaoFile::Open(const std::string& path) {
  QiaoFile file;
  file.path_ = path;
  QIAO_ASSIGN_OR_RETURN(file.file_, MappedFile::Open(path));
  file.bytes_ = file.file_.bytes();
  QIAO_RETURN_IF_ERROR(file.ReadHeader());
  return file;
}

absl::StatusOr<QiaoFile> QiaoFile::Parse(absl::Span<const std::byte> bytes, std::string_view what) {
  QiaoFile file;
  file.path_ = what;
  file.bytes_ = bytes;
  QIAO_RETURN_IF_ERROR(file.ReadHeader());
  return file;
}

// Reads what the verified flatbuffer says, and checks what only Qiao knows.
struct QiaoFile::Parser {
  QiaoFile& file;
  const uint64_t payload_end;
  std::vector<Extent> extents;

  absl::StatusOr<absl::Span<const std::byte>> Place(uint64_t offset, uint64_t bytes, std::string_view name,
                                                    Naming where);
  absl::Status Texts(const fb::Model& model);
  absl::Status Tensors(const fb::Model& model);
  absl::Status Extents();
};

absl::StatusOr<absl::Span<const std::byte>> QiaoFile::Parser::Place(uint64_t offset, uint64_t bytes,
                                                                    std::string_view name, Naming where) {
  const std::optional<uint64_t> end = CheckedAdd(offset, bytes);
  if (offset < kQiaoPrologueBytes || !end || *end > payload_end) {
    return InvalidArgument("%s: %d bytes at byte %d lie outside of the payload, which is %d..%d", where(),
                           bytes, offset, kQiaoPrologueBytes, payload_end);
  }
  if (offset % kQiaoAlignment != 0)
    return InvalidArgument("%s: begins at byte %d, no multiple of %d", where(), offset, kQiaoAlignment);
  extents.push_back({offset, *end, name});
  return file.bytes_.subspan(offset, bytes);
}

absl::Status QiaoFile::Parser::Texts(const fb::Model& model) {
  const size_t count = model.texts() == nullptr ? 0 : model.texts()->size();
  if (count > kMaxQiaoTexts)
    return ResourceExhausted("%s: has %d texts, at most %d are read", file.path_, count, kMaxQiaoTexts);
  absl::flat_hash_set<absl::string_view> names;
  for (size_t i = 0; i < count; ++i) {
    const fb::Text& text = *model.texts()->Get(static_cast<flatbuffers::uoffset_t>(i));
    Text& made = file.texts_.emplace_back();
    made.name = View(text.name());
    QIAO_RETURN_IF_ERROR(CheckName(made.name, file.path_, "text"));
    const auto where = [&] { return formats::Where(file.path_, "text", made.name); };
    if (!names.insert(Abs(made.name)).second) return InvalidArgument("%s: is there twice", where());
    QIAO_ASSIGN_OR_RETURN(made.data, Place(text.offset(), text.bytes(), made.name, where));
    if (made.data.size() > kMaxQiaoTextBytes) {
      return ResourceExhausted("%s: is %d bytes, at most %d are read", where(), made.data.size(),
                               kMaxQiaoTextBytes);
    }
    if (Checksum(made.data) != text.checksum())
      return DataLoss("%s: is damaged (its checksum differs); copy or convert the file again", where());
  }
  return absl::OkStatus();
}

absl::Status QiaoFile::Parser::Tensors(const fb::Model& model) {
  const size_t count = model.tensors() == nullptr ? 0 : model.tensors()->size();
  if (count > kMaxQiaoTensors)
    return ResourceExhausted("%s: has %d tensors, at most %d are read", file.path_, count, kMaxQiaoTensors);
  absl::flat_hash_set<absl::string_view> names;
  names.reserve(count);
  std::vector<std::pair<TensorView, uint64_t>> tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const fb::Tensor& tensor = *model.tensors()->Get(static_cast<flatbuffers::uoffset_t>(i));
    TensorView view;
    view.name = View(tensor.name());
    view.dtype_name = View(tensor.dtype());
    view.packing = View(tensor.packing());
    view.offset = tensor.offset();
    QIAO_RETURN_IF_ERROR(CheckName(view.name, file.path_, "tensor"));
    const auto where = [&] { return formats::Where(file.path_, "tensor", view.name); };
    if (!names.insert(Abs(view.name)).second) return InvalidArgument("%s: is there twice", where());
    QIAO_ASSIGN_OR_RETURN(const uint64_t bytes, SetShape(tensor, view, where));
    if (view.packing.empty() && bytes != tensor.bytes()) {
      return InvalidArgument("%s: is %d bytes, but its shape and dtype %s make %d", where(), tensor.bytes(),
                             view.dtype_name, bytes);
    }
    QIAO_ASSIGN_OR_RETURN(view.data, Place(tensor.offset(), tensor.bytes(), view.name, where));
    tensors.emplace_back(view, tensor.checksum());
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.first.offset, a.first.data.size(), a.first.name) <
           std::tuple(b.first.offset, b.first.data.size(), b.first.name);
  });
  file.tensors_.reserve(count);
  file.checksums_.reserve(count);
  for (const auto& [view, checksum] : tensors) {
    file.tensors_.push_back(view);
    file.checksums_.push_back(checksum);
  }
  return absl::OkStatus();
}

// Nothing lies over anything else, and what lies between is padding.
absl::Status QiaoFile::Parser::Extents() {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = kQiaoPrologueBytes;
  std::string_view before = "the prologue";
  for (const Extent& extent : extents) {
    if (extent.begin < at) {
      return InvalidArgument("%s: \"%s\" begins at byte %d, inside \"%s\", which ends at %d", file.path_,
                             extent.name.substr(0, 200), extent.begin, before.substr(0, 200), at);
    }
    if (extent.begin - at >= kQiaoMaxGap) {
      return InvalidArgument("%s: %d bytes before \"%s\" belong to nothing", file.path_, extent.begin - at,
                             extent.name.substr(0, 200));
    }
    at = extent.end;
    before = extent.name;
  }
  if (payload_end - at >= kQiaoMaxGap)
    return InvalidArgument("%s: %d bytes before its header belong to nothing", file.path_, payload_end - at);
  return absl::OkStatus();
}

absl::Status QiaoFile::ReadHeader() {
  QIAO_ASSIGN_OR_RETURN(const QiaoPrologue p, ReadPrologue(bytes_, path_));
  header_ = std::make_unique<std::byte[]>(p.header_bytes);
  std::memcpy(header_.get(), bytes_.data() + p.header_offset, p.header_bytes);
  if (Checksum(absl::MakeConstSpan(header_.get(), p.header_bytes)) != p.header_checksum)
    return DataLoss("%s: its header is damaged (its checksum differs); copy or convert it again", path_);

  flatbuffers::Verifier::Options limits;
  limits.max_depth = 8;
  limits.max_tables = kMaxQiaoTensors + kMaxQiaoTexts + 1;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(header_.get()), p.header_bytes, limits);
  if (!fb::VerifyModelBuffer(verifier)) {
    return InvalidArgument("%s: its header is no flatbuffer of this format, or has more than %d tensors",
                           path_, kMaxQiaoTensors);
  }
  const fb::Model& model = *fb::GetModel(header_.get());
  producer_ = View(model.producer()).substr(0, 200);
  Parser parser{*this, p.header_offset, {}};
  QIAO_RETURN_IF_ERROR(parser.Texts(model));
  QIAO_RETURN_IF_ERROR(parser.Tensors(model));
  return parser.Extents();
}

absl::Status QiaoFile::VerifyTensors(const Progress& progress) const {
  // One thread takes a tensor; between two rounds the progress is told.
  constexpr uint64_t kRound = uint64_t{256} << 20, kRoundPerThread = uint64_t{32} << 20;
  constexpr size_t kPiece = size_t{4} << 20;
  uint64_t total = 0, done = 0;
  for (const TensorView& tensor : tensors_) total += tensor.data.size();
  ThreadPool pool;
  const uint64_t round = std::max(kRound, kRoundPerThread * static_cast<uint64_t>(pool.size()));
  for (size_t begin = 0; begin < tensors_.size();) {
    size_t end = begin;
    uint64_t bytes = 0;
    while (end < tensors_.size() && (end == begin || bytes < round)) bytes += tensors_[end++].data.size();
    std::atomic<size_t> bad{tensors_.size()};
    pool.ParallelFor(static_cast<int64_t>(end - begin), 1, [&](int64_t first, int64_t last, int) {
      Checksummer sum;
      for (auto i = begin + static_cast<size_t>(first); i < begin + static_cast<size_t>(last); ++i) {
        sum.Reset();
        for (absl::Span<const std::byte> rest = tensors_[i].data; !rest.empty();) {
          const auto piece = rest.subspan(0, kPiece);
          sum.Update(piece);
          LetGo(piece);
          rest.remove_prefix(piece.size());
        }
        size_t known = bad.load();
        if (sum.Digest() == checksums_[i]) continue;
        while (i < known && !bad.compare_exchange_weak(known, i)) {
        }
      }
    });
    if (const size_t i = bad.load(); i < tensors_.size()) {
      return DataLoss(
          "%s: its %d bytes at byte %d are damaged (their checksum differs); copy or convert the file again",
          formats::Where(path_, "tensor", tensors_[i].name), tensors_[i].data.size(), tensors_[i].offset);
    }
    done += bytes;
    begin = end;
    if (progress && !progress("verifying checksums", done, total))
      return Cancelled("verifying was cancelled");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> QiaoFile::Read(std::string_view name, uint64_t max_bytes) const {
  for (const Text& text : texts_) {
    if (text.name != name) continue;
    if (text.data.size() > max_bytes) {
      return ResourceExhausted("%s: is %d bytes, more than the limit of %d for such a file", Where(name),
                               text.data.size(), max_bytes);
    }
    return std::optional<std::string>(
        std::string(reinterpret_cast<const char*>(text.data.data()), text.data.size()));
  }
  return std::optional<std::string>();
}

std::string QiaoFile::Where(std::string_view name) const { return absl::StrFormat("%s/%s", path_, name); }

std::vector<std::string_view> QiaoFile::text_names() const {
  std::vector<std::string_view> names;
  for (const Text& text : texts_) names.push_back(text.name);
  return names;
}

}  // namespace qiao::formats
