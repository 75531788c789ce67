// A model's folder or .qiao file, opened: what its files say, before any weight is read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "runtime/base/file_set.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/formats/checkpoint.h"
#include "runtime/formats/generation_config.h"
#include "runtime/formats/qiao_file.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

namespace qiao::engine {

struct ModelFolder {
  std::string path;
  std::shared_ptr<const FileSet> files;                // the small ones: config.json, tokenizer.json ...
  std::shared_ptr<const formats::QiaoFile> qiao_file;  // null for a folder
  bool verified = false;  // whether the checksums of a .qiao file's tensors were compared
  std::unique_ptr<models::Model> model;
  std::vector<std::string>
      unread_keys;  // of config.json: nobody knows them, and they are not known to matter
  formats::GenerationConfig generation;  // empty where there is no file
  std::unique_ptr<formats::Checkpoint> checkpoint;
  std::optional<text::Tokenizer> tokenizer;          // absent where the folder has none
  std::optional<text::ChatTemplates> chat_template;  // absent where the folder has none

  // Which token ends a text: generation_config.json's, else config.json's, else the tokenizer's.
  std::vector<int32_t> EndOfText() const;
  // The token that begins one, where the tokenizer or the config has it.
  std::optional<int32_t> BeginOfText() const;
};

struct OpenOptions {
  bool checkpoint = true;                           // map the weights' files and read their headers
  bool text = true;                                 // tokenizer and chat template
  formats::Verify verify = formats::Verify::kAuto;  // of a .qiao file, where its checkpoint is opened
  Progress progress;
};

// The small files of a model alone. NOT_FOUND where there is neither a folder nor a .qiao file of that name.
absl::StatusOr<std::shared_ptr<const FileSet>> OpenModelFiles(const std::string& path);

// A missing tokenizer is no error here; a broken one is. Errors name the file and the field.
absl::StatusOr<std::unique_ptr<ModelFolder>> OpenModelFolder(const std::string& path,
                                                             const OpenOptions& options = {});

}  // namespace qiao::engine
