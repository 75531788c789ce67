#include "runtime/formats/checkpoint.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/formats/model_index.h"

namespace qiao::formats {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

absl::StatusOr<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  if (real != nullptr) return std::string(real.get());
  const int error = errno;
  const absl::StatusCode code = error == ENOENT || error == ENOTDIR ? absl::StatusCode::kNotFound
                                : error == EACCES                   ? absl::StatusCode::kPermissionDenied
                                                                    : absl::StatusCode::kUnavailable;
  return absl::Status(code, absl::StrFormat("%s: cannot open: %s", path, std::strerror(error)));
}

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('/') + 1); }
std::string_view Parent(std::string_view path) { return path.substr(0, path.rfind('/')); }

// What the files of a model may lie in: its folder, or for models--X/snapshots/REVISION the folder models--X,
// since the cache keeps the contents in models--X/blobs and fills the revision with links to them.
std::string_view ContainingFolder(std::string_view real_folder) {
  const std::string_view snapshots = Parent(real_folder);
  if (LastPart(snapshots) != "snapshots") return real_folder;
  const std::string_view repository = Parent(snapshots);
  return LastPart(repository).starts_with("models--") ? repository : real_folder;
}

bool IsInside(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

absl::Status Report(const Progress& progress, uint64_t done, uint64_t total) {
  if (progress && !progress("opening weight files", done, total))
    return Cancelled("opening weight files was cancelled");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ResolveInModelFolder(const std::string& folder, const std::string& name) {
  QIAO_ASSIGN_OR_RETURN(const std::string real_folder, RealPath(folder));
  QIAO_ASSIGN_OR_RETURN(std::string path, RealPath(folder + "/" + name));
  if (!IsInside(path, ContainingFolder(real_folder))) {
    return PermissionDenied(
        "%s/%s: leads to %s, outside of the model's folder; copy the file into the folder, or give the "
        "folder that holds the files",
        folder, name, path);
  }
  return path;
}

const Checkpoint::Entry* Checkpoint::FindEntry(std::string_view name) const {
  const auto it = by_name_.find(Abs(name));
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

const TensorView* Checkpoint::Find(std::string_view name) const {
  const Entry* entry = FindEntry(name);
  return entry == nullptr ? nullptr : entry->tensor;
}

Checkpoint Checkpoint::Of(std::shared_ptr<const QiaoFile> file) {
  Checkpoint checkpoint;
  checkpoint.folder_ = file->path();
  for (const TensorView& tensor : file->tensors()) checkpoint.tensors_.push_back({&tensor, 0});
  checkpoint.native_ = std::move(file);
  checkpoint.Name();
  return checkpoint;
}

// Makes tensors_ known by name.
void Checkpoint::Name() {
  by_name_.reserve(tensors_.size());
  for (uint32_t i = 0; i < tensors_.size(); ++i) {
    const TensorView& tensor = *tensors_[i].tensor;
    by_name_.emplace(Abs(tensor.name), i);
    data_bytes_ += tensor.data.size();
  }
}

void Checkpoint::LetGo(absl::Span<const std::byte> bytes) const {
  if (native_ != nullptr) native_->LetGo(bytes);
  for (const SafetensorsFile& file : files_) {
    if (file.LetGo(bytes)) return;
  }
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& folder, const Progress& progress) {
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;

  ModelIndex index;
  absl::StatusOr<std::string> single = ResolveInModelFolder(folder, kSingleFile);
  const bool has_index = !single.ok() && absl::IsNotFound(single.status());
  const std::string index_path = folder + "/" + kIndexFile;
  if (has_index) {
    const absl::StatusOr<std::string> real = ResolveInModelFolder(folder, kIndexFile);
    if (!real.ok() && absl::IsNotFound(real.status())) {
      return NotFound("%s: holds neither %s nor %s; Qiao reads safetensors checkpoints", folder, kSingleFile,
                      kIndexFile);
    }
    QIAO_RETURN_IF_ERROR(real.status());
    QIAO_ASSIGN_OR_RETURN(const std::string text, ReadFile(*real, kMaxIndexBytes));
    QIAO_ASSIGN_OR_RETURN(index, ParseModelIndex(text, index_path));
  } else {
    QIAO_RETURN_IF_ERROR(single.status());
    index.files.push_back(kSingleFile);
  }

  checkpoint.files_.reserve(index.files.size());
  size_t in_files = 0;
  for (const std::string& name : index.files) {
    QIAO_RETURN_IF_ERROR(Report(progress, checkpoint.files_.size(), index.files.size()));
    absl::StatusOr<std::string> real = ResolveInModelFolder(folder, name);
    if (!real.ok() && absl::IsNotFound(real.status())) {
      return NotFound("%s/%s: is missing, and %s names it; download it again", folder, name, kIndexFile);
    }
    QIAO_RETURN_IF_ERROR(real.status());
    QIAO_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(*real, folder + "/" + name));
    in_files += file.tensors().size();
    checkpoint.files_.push_back(std::move(file));
  }
  QIAO_RETURN_IF_ERROR(Report(progress, index.files.size(), index.files.size()));

  checkpoint.tensors_.reserve(in_files);
  if (has_index) {
    // First the names with the file that the index gives them, then the files in order; what is left is
    // unindexed.
    absl::flat_hash_map<absl::string_view, uint32_t> file_of;
    file_of.reserve(index.tensors.size());
    for (const ModelIndex::Entry& entry : index.tensors) {
      if (checkpoint.files_[entry.file].Find(entry.tensor) == nullptr) {
        return InvalidArgument("%s: tensor \"%s\": is not in %s, where the index says it lies", index_path,
                               entry.tensor, index.files[entry.file]);
      }
      file_of.emplace(Abs(entry.tensor), entry.file);
    }
    for (uint32_t f = 0; f < checkpoint.files_.size(); ++f) {
      for (const TensorView& tensor : checkpoint.files_[f].tensors()) {
        const auto it = file_of.find(Abs(tensor.name));
        const bool indexed = it != file_of.end() && it->second == f;
        (indexed ? checkpoint.tensors_ : checkpoint.unindexed_).push_back({&tensor, f});
      }
    }
  } else {
    for (const TensorView& tensor : checkpoint.files_[0].tensors())
      checkpoint.tensors_.push_back({&tensor, 0});
  }
  checkpoint.Name();
  return checkpoint;
}

}  // namespace qiao::formats
