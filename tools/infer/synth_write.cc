#include "tools/infer/synth_write.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "runtime/base/file_writer.h"
#include "runtime/formats/safetensors_writer.h"
#include "tools/infer/synth_fill.h"

namespace qiao::tools {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPiece = uint64_t{8} << 20;

// Removes what was written unless all of it was.
class Cleanup {
 public:
  ~Cleanup() {
    std::error_code ignored;
    for (const std::string& path : paths_) fs::remove(path, ignored);
    if (!folder_.empty()) fs::remove(folder_, ignored);  // only where it is empty
  }
  void Folder(std::string path) { folder_ = std::move(path); }
  void File(std::string path) { paths_.push_back(std::move(path)); }
  void Keep() {
    paths_.clear();
    folder_.clear();
  }

 private:
  std::string folder_;
  std::vector<std::string> paths_;
};

absl::Status PrepareFolder(const std::string& folder, Cleanup& cleanup) {
  std::error_code error;
  if (fs::create_directories(folder, error)) cleanup.Folder(folder);
  if (error) return InvalidArgument("%s: cannot be made: %s", folder, error.message());
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json" || name.ends_with(".safetensors") ||
        name.ends_with(".safetensors.index.json")) {
      return InvalidArgument("%s: already holds a model (%s); remove it or choose another folder", folder,
                             name);
    }
  }
  if (error) return InvalidArgument("%s: cannot be read: %s", folder, error.message());
  return absl::OkStatus();
}

absl::Status CheckDisk(const std::string& folder, uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  // Headers, the index, and what the file system itself needs.
  const uint64_t needed = bytes + bytes / 100 + (uint64_t{16} << 20);
  if (error || space.available >= needed) return absl::OkStatus();
  return ResourceExhausted(
      "%s: the checkpoint takes %.1f GB and the disk has %.1f GB free; --sparse takes almost none, --layers "
      "makes it smaller",
      folder, static_cast<double>(needed) / 1e9, static_cast<double>(space.available) / 1e9);
}

class FileJob {
 public:
  FileJob(const SynthWriteOptions& options, uint64_t total)
      : options_(options), total_(total), buffer_(options.sparse ? 0 : kPiece) {
    if (!options.sparse) filler_.emplace(options.seed);
  }

  absl::Status Write(const std::string& path, const SynthFile& file) {
    std::vector<formats::TensorToWrite> declared;
    std::map<std::string_view, const SynthTensor*> by_name;
    for (const SynthTensor& tensor : file.tensors) {
      declared.push_back({tensor.name, std::string(SafetensorsName(tensor.dtype)), tensor.dims});
      by_name.emplace(tensor.name, &tensor);
    }
    QIAO_ASSIGN_OR_RETURN(formats::SafetensorsWriter writer,
                          formats::SafetensorsWriter::Create(path, std::move(declared), {{"format", "pt"}}));
    for (const formats::TensorToWrite& next : writer.tensors()) {
      QIAO_RETURN_IF_ERROR(WriteTensor(writer, *by_name.at(next.name)));
    }
    return writer.Commit();
  }

 private:
  absl::Status WriteTensor(formats::SafetensorsWriter& writer, const SynthTensor& tensor) {
    if (options_.sparse) {
      QIAO_RETURN_IF_ERROR(writer.WriteHole(tensor.bytes));
      return Advance(tensor.bytes);
    }
    for (uint64_t at = 0; at < tensor.bytes;) {
      const absl::Span<std::byte> piece(buffer_.data(), std::min<uint64_t>(kPiece, tensor.bytes - at));
      filler_->Fill(tensor, at, piece);
      QIAO_RETURN_IF_ERROR(writer.Write(piece));
      at += piece.size();
      QIAO_RETURN_IF_ERROR(Advance(piece.size()));
    }
    return absl::OkStatus();
  }

  absl::Status Advance(uint64_t bytes) {
    done_ += bytes;
    if (options_.progress && !options_.progress("writing weights", done_, total_))
      return Cancelled("writing was cancelled");
    return absl::OkStatus();
  }

  const SynthWriteOptions& options_;
  uint64_t total_, done_ = 0;
  std::vector<std::byte> buffer_;
  std::optional<SynthFiller> filler_;
};

absl::Status WriteText(const std::string& path, std::string_view text) {
  QIAO_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  QIAO_RETURN_IF_ERROR(writer.Write(text));
  return writer.Commit();
}

std::string IndexText(const SynthPlan& plan) {
  OrderedJson index;
  index["metadata"]["total_size"] = plan.bytes;
  // Sorted, and through a map: an ordered object finds keys by looking at all of them.
  Json map = Json::object();
  for (const SynthFile& file : plan.files) {
    for (const SynthTensor& tensor : file.tensors) map[tensor.name] = file.name;
  }
  return absl::StrFormat("{\n  \"metadata\": %s,\n  \"weight_map\": %s\n}\n", index["metadata"].dump(),
                         map.dump(2));
}

}  // namespace

absl::Status WriteSynth(const SynthPlan& plan, const std::string& folder, const SynthWriteOptions& options) {
  Cleanup cleanup;
  QIAO_RETURN_IF_ERROR(PrepareFolder(folder, cleanup));
  if (!options.sparse) QIAO_RETURN_IF_ERROR(CheckDisk(folder, plan.bytes));
  FileJob job(options, plan.bytes);
  for (const SynthFile& file : plan.files) {
    const std::string path = folder + "/" + file.name;
    cleanup.File(path);
    QIAO_RETURN_IF_ERROR(job.Write(path, file));
  }
  if (plan.files.size() > 1) {
    const std::string path = folder + "/model.safetensors.index.json";
    cleanup.File(path);
    QIAO_RETURN_IF_ERROR(WriteText(path, IndexText(plan)));
  }
  // Last, because it makes the folder a model.
  cleanup.File(folder + "/config.json");
  QIAO_RETURN_IF_ERROR(WriteText(folder + "/config.json", plan.config));
  cleanup.Keep();
  return absl::OkStatus();
}

}  // namespace qiao::tools
