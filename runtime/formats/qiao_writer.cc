#include "runtime/formats/qiao_writer.h"

#include <fcntl.h>
#include <qiao_file_generated.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "runtime/base/checked.h"
#include "runtime/formats/qiao_file.h"
#include "runtime/formats/qiao_prologue.h"

namespace qiao::formats {
namespace {

constexpr char kPartialMagic[8] = {'\x89', 'q', 'i', 'a', 'o', '-', '-', '\x1a'};
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 62;
// Large tensors begin on a page, so that their pages are nobody else's.
constexpr uint64_t kPage = 4096, kLarge = uint64_t{64} << 10;
// The journal's distance from the payload; the header, which Commit writes before the journal goes, fits
// between.
constexpr uint64_t kJournalDistance = kMaxQiaoHeaderBytes;

// One a tensor, zero until it is complete.
struct Record {
  uint64_t checksum, check;
  static Record Of(size_t tensor, uint64_t number, uint64_t checksum) {
    const uint64_t words[3] = {tensor, number, checksum};
    return {checksum, Checksum(std::string_view(reinterpret_cast<const char*>(words), sizeof(words)))};
  }
};

bool ReadAt(int fd, void* data, size_t size, uint64_t offset) {
  auto* to = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t n = ::pread(fd, to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

}  // namespace

absl::Status QiaoWriter::Fail(std::string_view doing, int error) const {
  if (IsDiskFull(error)) {
    return ResourceExhausted(
        "%s: cannot %s: %s; the whole file takes %d bytes. What is written stays there: the same command "
        "goes on with it when there is room",
        partial_, doing, std::strerror(error), payload_end_);
  }
  return absl::Status(CodeOf(error),
                      absl::StrFormat("%s: cannot %s: %s", partial_, doing, std::strerror(error)));
}

absl::Status QiaoWriter::WriteAt(const void* data, size_t size, uint64_t offset) {
  if (const int error = WriteAllAt(fd_.get(), data, size, offset)) return Fail("write", error);
  return absl::OkStatus();
}

// Places everything, and makes the number of the plan.
absl::Status QiaoWriter::Lay() {
  if (plan_.tensors.size() > kMaxQiaoTensors || plan_.texts.size() > kMaxQiaoTexts) {
    return InvalidArgument("%s: %d tensors and %d texts, at most %d and %d can be written", path_,
                           plan_.tensors.size(), plan_.texts.size(), kMaxQiaoTensors, kMaxQiaoTexts);
  }
  Checksummer number;
  auto mix = [&](std::string_view text) {
    const uint64_t size = text.size();
    number.Update({reinterpret_cast<const std::byte*>(&size), sizeof(size)});
    number.Update({reinterpret_cast<const std::byte*>(text.data()), text.size()});
  };
  mix(plan_.producer);
  uint64_t at = kQiaoPrologueBytes;
  auto place = [&](uint64_t bytes) {
    const uint64_t offset = RoundUp(at, bytes >= kLarge ? kPage : kQiaoAlignment);
    at = offset + bytes;
    return Place{offset, bytes, 0};
  };
  absl::flat_hash_set<absl::string_view> names;
  for (const QiaoText& text : plan_.texts) {
    if (text.name.empty() || text.name.size() > kMaxTensorNameBytes || !names.insert(Abs(text.name)).second)
      return InvalidArgument("%s: text \"%s\": is declared twice or has no good name", path_, text.name);
    mix(text.name);
    mix(text.content);
    texts_.push_back(place(text.content.size()));
    texts_.back().checksum = Checksum(text.content);
  }
  names.clear();
  for (const TensorToWrite& tensor : plan_.tensors) {
    const bool named = !tensor.name.empty() && tensor.name.size() <= kMaxTensorNameBytes &&
                       names.insert(Abs(tensor.name)).second;
    const bool shaped =
        tensor.dims.size() <= static_cast<size_t>(kMaxSafetensorsRank) &&
        std::all_of(tensor.dims.begin(), tensor.dims.end(), [](int64_t d) { return d <= kMaxQiaoDim; });
    const std::optional<int64_t> bits = SafetensorsBits(tensor.dtype, tensor.dims);
    if (!named || !shaped || !bits || *bits % 8 != 0 ||
        static_cast<uint64_t>(*bits / 8) > kMaxFileBytes - at) {
      return InvalidArgument("%s: tensor \"%s\": cannot be written: its name, dtype or shape is impossible",
                             path_, tensor.name);
    }
    mix(tensor.name);
    mix(tensor.dtype);
    mix({reinterpret_cast<const char*>(tensor.dims.data()), tensor.dims.size() * sizeof(int64_t)});
    places_.push_back(place(static_cast<uint64_t>(*bits / 8)));
  }
  payload_end_ = RoundUp(at, kQiaoAlignment);
  journal_ = payload_end_ + kJournalDistance;
  number_ = number.Digest();
  return absl::OkStatus();
}

absl::Status QiaoWriter::OpenPartial() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    fd_ = Fd(::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!fd_.is_open()) return Fail("open", errno);
    struct stat mine, named;
    if (::fstat(fd_.get(), &mine) != 0) return Fail("stat", errno);
    if (!S_ISREG(mine.st_mode)) return InvalidArgument("%s: is not a regular file", partial_);
    // A file system without locks does without.
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      return FailedPrecondition("%s: another process is writing it; wait for it, or write elsewhere",
                                partial_);
    }
    // Between opening and locking, another writer may have finished and renamed it.
    if (::stat(partial_.c_str(), &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev)
      return absl::OkStatus();
    fd_.Close();
  }
  return Unavailable("%s: comes and goes while it is opened", partial_);
}

// Keeps what is there of the same plan, or starts afresh.
absl::Status QiaoWriter::Continue(const Progress& progress) {
  struct stat st;
  if (::fstat(fd_.get(), &st) != 0) return Fail("stat", errno);
  QiaoPrologue p{};
  const bool has = ReadAt(fd_.get(), &p, sizeof(p), 0) && p.checksum == p.Sum();
  const bool ours = has && std::memcmp(p.magic, kPartialMagic, sizeof(p.magic)) == 0;
  const bool whole = has && std::memcmp(p.magic, kQiaoMagic, sizeof(p.magic)) == 0;
  if (st.st_size > 0 && !ours && !whole) {
    return absl::AlreadyExistsError(absl::StrFormat(
        "%s: is there and is not an unfinished .qiao file; move it away, or write elsewhere", partial_));
  }
  if (whole && p.number == number_ && QiaoFile::Open(partial_).ok()) {
    whole_ = true;
    next_ = places_.size();
    return absl::OkStatus();
  }
  if (ours && p.number == number_) {
    uint64_t total = 0, done = 0;
    std::vector<Record> journal(places_.size());
    for (size_t i = 0; i < journal.size(); ++i) {
      if (!ReadAt(fd_.get(), &journal[i], sizeof(Record), journal_ + i * sizeof(Record)) ||
          journal[i].check != Record::Of(i, number_, journal[i].checksum).check) {
        journal.resize(i);
      } else {
        total += places_[i].bytes;
      }
    }
    std::vector<std::byte> piece(size_t{4} << 20);
    for (; next_ < journal.size(); ++next_) {
      Place& place = places_[next_];
      sum_.Reset();
      for (uint64_t at = 0; at < place.bytes;) {
        const size_t n = std::min<uint64_t>(piece.size(), place.bytes - at);
        if (!ReadAt(fd_.get(), piece.data(), n, place.offset + at)) break;
        sum_.Update(absl::MakeConstSpan(piece.data(), n));
        at += n;
      }
      if (sum_.Digest() != journal[next_].checksum) break;
      place.checksum = journal[next_].checksum;
      done += place.bytes;
      if (progress && !progress("reading the unfinished file", done, total))
        return Cancelled("cancelled; %s stays, and the same command goes on with it", partial_);
    }
    sum_.Reset();
    // The texts may not have reached the disk.
    return WriteTexts();
  }
  if (const int error = SetLength(fd_.get(), 0)) return Fail("empty", error);
  p = {};
  std::memcpy(p.magic, kPartialMagic, sizeof(p.magic));
  p.version = kQiaoVersion;
  p.number = number_;
  p.Seal();
  QIAO_RETURN_IF_ERROR(WriteAt(&p, sizeof(p), 0));
  return WriteTexts();
}

absl::Status QiaoWriter::WriteTexts() {
  for (size_t i = 0; i < texts_.size(); ++i) {
    QIAO_RETURN_IF_ERROR(WriteAt(plan_.texts[i].content.data(), texts_[i].bytes, texts_[i].offset));
  }
  return absl::OkStatus();
}

absl::StatusOr<QiaoWriter> QiaoWriter::Create(const std::string& path, QiaoPlan plan, std::string_view source,
                                              const Progress& progress) {
  QiaoWriter writer;
  writer.path_ = path;
  writer.partial_ = path + ".partial";
  writer.plan_ = std::move(plan);
  QIAO_RETURN_IF_ERROR(writer.Lay());
  const uint64_t numbers[2] = {writer.number_, Checksum(source)};
  writer.number_ = Checksum(std::string_view(reinterpret_cast<const char*>(numbers), sizeof(numbers)));
  QIAO_RETURN_IF_ERROR(writer.OpenPartial());
  QIAO_RETURN_IF_ERROR(writer.Continue(progress));
  if (writer.next_ < writer.places_.size() && writer.places_[writer.next_].bytes == 0)
    QIAO_RETURN_IF_ERROR(writer.Complete());
  return writer;
}

// Tensor next_ has all its bytes, and so have empty ones behind it.
absl::Status QiaoWriter::Complete() {
  do {
    Place& place = places_[next_];
    place.checksum = sum_.Digest();
    const Record record = Record::Of(next_, number_, place.checksum);
    QIAO_RETURN_IF_ERROR(WriteAt(&record, sizeof(record), journal_ + next_ * sizeof(Record)));
    sum_.Reset();
    written_ = 0;
    ++next_;
  } while (next_ < places_.size() && places_[next_].bytes == 0);
  return absl::OkStatus();
}

absl::Status QiaoWriter::Write(absl::Span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (next_ == places_.size())
      return OutOfRange("%s: %d bytes more than the tensors have", path_, bytes.size());
    const Place& place = places_[next_];
    const auto part = bytes.subspan(0, place.bytes - written_);
    QIAO_RETURN_IF_ERROR(WriteAt(part.data(), part.size(), place.offset + written_));
    sum_.Update(part);
    written_ += part.size();
    bytes.remove_prefix(part.size());
    if (written_ == place.bytes) QIAO_RETURN_IF_ERROR(Complete());
  }
  return absl::OkStatus();
}

std::string QiaoWriter::Header() const {
  flatbuffers::FlatBufferBuilder builder(1 << 20);
  std::vector<flatbuffers::Offset<fb::Text>> texts;
  for (size_t i = 0; i < texts_.size(); ++i) {
    texts.push_back(fb::CreateText(builder, builder.CreateString(plan_.texts[i].name), texts_[i].offset,
                                   texts_[i].bytes, texts_[i].checksum));
  }
  std::vector<flatbuffers::Offset<fb::Tensor>> tensors;
  for (size_t i = 0; i < places_.size(); ++i) {
    const TensorToWrite& tensor = plan_.tensors[i];
    const std::vector<uint64_t> shape(tensor.dims.begin(), tensor.dims.end());
    const auto name = builder.CreateString(tensor.name);
    const auto dtype = builder.CreateSharedString(tensor.dtype);
    tensors.push_back(fb::CreateTensor(builder, name, dtype, builder.CreateVector(shape), places_[i].offset,
                                       places_[i].bytes, places_[i].checksum));
  }
  const auto producer = builder.CreateString(plan_.producer);
  fb::FinishModelBuffer(builder, fb::CreateModel(builder, producer, builder.CreateVector(texts),
                                                 builder.CreateVector(tensors)));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

absl::Status QiaoWriter::Commit() {
  if (!fd_.is_open()) return FailedPrecondition("%s: is already committed", path_);
  if (next_ < places_.size()) {
    return FailedPrecondition("%s: tensor \"%s\": %d of its bytes were not written", path_,
                              plan_.tensors[next_].name, places_[next_].bytes - written_);
  }
  if (!whole_) {
    const std::string header = Header();
    if (header.size() > kMaxQiaoHeaderBytes) {
      return InvalidArgument("%s: its header would be %d bytes, at most %d are read", path_, header.size(),
                             kMaxQiaoHeaderBytes);
    }
    QIAO_RETURN_IF_ERROR(WriteAt(header.data(), header.size(), payload_end_));
    // What takes long comes before the journal is given up.
    if (const int error = Sync(fd_.get())) return Fail("flush to disk", error);
    const uint64_t file_bytes = payload_end_ + header.size();
    if (const int error = SetLength(fd_.get(), file_bytes)) return Fail("set the length", error);
    QiaoPrologue p{};
    std::memcpy(p.magic, kQiaoMagic, sizeof(p.magic));
    p.version = kQiaoVersion;
    p.header_offset = payload_end_;
    p.header_bytes = header.size();
    p.header_checksum = Checksum(header);
    p.file_bytes = file_bytes;
    p.number = number_;
    p.Seal();
    QIAO_RETURN_IF_ERROR(WriteAt(&p, sizeof(p), 0));
  }
  if (const int error = Sync(fd_.get())) return Fail("flush to disk", error);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) return Fail("rename", errno);
  fd_.Close();
  SyncFolderOf(path_);
  return absl::OkStatus();
}

}  // namespace qiao::formats
