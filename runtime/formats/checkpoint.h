// The weights of a model: of its folder, model.safetensors or the files that model.safetensors.index.json
// names, or of its .qiao file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/formats/qiao_file.h"
#include "runtime/formats/safetensors.h"

namespace qiao::formats {

// Opening maps all files and reads their headers, never their data: a checkpoint may be larger than memory,
// or sparse. Movable; views stay valid when it is moved. Const use from many threads is fine.
class Checkpoint {
 public:
  struct Entry {
    const TensorView* tensor;
    uint32_t file;  // of files(); 0 in a .qiao file
  };

  // Where both kinds are there, model.safetensors counts, as in transformers. An error: a tensor that the
  // index promises and its file lacks, a file that is missing, a file name that leads out of the folder.
  // Links are followed where they stay inside the folder, or, for a folder of the Hugging Face cache
  // (models--ORG--NAME/snapshots/REVISION), inside its models--ORG--NAME.
  // `progress` counts files.
  static absl::StatusOr<Checkpoint> Open(const std::string& folder, const Progress& progress = nullptr);
  // The tensors of a .qiao file, by the same names.
  static Checkpoint Of(std::shared_ptr<const QiaoFile> file);

  // All tensors, by file and then in the order of their data.
  absl::Span<const Entry> tensors() const { return tensors_; }
  const Entry* FindEntry(std::string_view name) const;
  // Null where there is none of that name.
  const TensorView* Find(std::string_view name) const;
  // The safetensors files; none where it is a .qiao file.
  absl::Span<const SafetensorsFile> files() const { return files_; }
  size_t file_count() const { return native_ != nullptr ? 1 : files_.size(); }

  // Tensors that lie in a file and that the index does not give to that file. They are tolerated, because
  // published checkpoints have them, and they are not found by name: the index decides.
  absl::Span<const Entry> unindexed() const { return unindexed_; }

  // Bytes of the mapped files that are not read again soon need not stay resident (mmap.h); others are passed
  // over.
  void LetGo(absl::Span<const std::byte> bytes) const;

  // The folder or .qiao file that was opened.
  const std::string& folder() const { return folder_; }
  // Of the tensors' data, all files together.
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  Checkpoint() = default;
  void Name();

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::shared_ptr<const QiaoFile> native_;
  std::vector<Entry> tensors_;
  std::vector<Entry> unindexed_;
  absl::flat_hash_map<absl::string_view, uint32_t> by_name_;
  uint64_t data_bytes_ = 0;
};

// FOLDER/NAME with all links resolved; an error where that leads outside of what Checkpoint::Open describes.
// PERMISSION_DENIED for an escape, NOT_FOUND for a missing file. Of use for every file of a model's folder.
absl::StatusOr<std::string> ResolveInModelFolder(const std::string& folder, const std::string& name);

}  // namespace qiao::formats
