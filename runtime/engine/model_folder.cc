#include "runtime/engine/model_folder.h"

#include <sys/stat.h>

#include <utility>

#include "runtime/formats/model_config.h"

namespace qiao::engine {
namespace {

// What `path` is: a folder, or a .qiao file, which is then opened.
absl::Status OpenFiles(const std::string& path, std::shared_ptr<const FileSet>& files,
                       std::shared_ptr<const formats::QiaoFile>& qiao_file) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) {
    return NotFound("%s: no such folder; give the folder that holds config.json, or a .qiao file", path);
  }
  if (S_ISDIR(st.st_mode)) {
    files = std::make_shared<FolderFiles>(path);
    return absl::OkStatus();
  }
  QIAO_ASSIGN_OR_RETURN(formats::QiaoFile file, formats::QiaoFile::Open(path));
  qiao_file = std::make_shared<formats::QiaoFile>(std::move(file));
  files = qiao_file;
  return absl::OkStatus();
}

absl::Status OpenText(ModelFolder& folder) {
  absl::StatusOr<text::Tokenizer> read = text::Tokenizer::FromFiles(*folder.files);
  if (absl::IsNotFound(read.status())) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, std::move(read));
  if (tokenizer.vocab_size() > folder.model->info().vocab) {
    return InvalidArgument("%s: has %d tokens, but config.json's vocab_size is %d",
                           folder.files->Where("tokenizer.json"), tokenizer.vocab_size(),
                           folder.model->info().vocab);
  }
  folder.tokenizer.emplace(std::move(tokenizer));
  absl::StatusOr<text::ChatTemplates> chat = text::ChatTemplates::Load(*folder.files);
  if (chat.ok()) {
    folder.chat_template.emplace(*std::move(chat));
  } else if (chat.status().code() != absl::StatusCode::kNotFound) {
    return chat.status();
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<int32_t> ModelFolder::EndOfText() const {
  std::vector<int32_t> ids;
  for (int64_t id : generation.eos_token_ids) {
    if (id < model->info().vocab) ids.push_back(static_cast<int32_t>(id));
  }
  if (ids.empty()) ids.assign(model->info().eos.begin(), model->info().eos.end());
  if (ids.empty() && tokenizer && tokenizer->eos_id()) ids.push_back(*tokenizer->eos_id());
  return ids;
}

std::optional<int32_t> ModelFolder::BeginOfText() const {
  if (tokenizer && tokenizer->bos_id()) return tokenizer->bos_id();
  if (model->info().bos) return static_cast<int32_t>(*model->info().bos);
  return std::nullopt;
}

absl::StatusOr<std::shared_ptr<const FileSet>> OpenModelFiles(const std::string& path) {
  std::shared_ptr<const FileSet> files;
  std::shared_ptr<const formats::QiaoFile> qiao_file;
  QIAO_RETURN_IF_ERROR(OpenFiles(path, files, qiao_file));
  return files;
}

absl::StatusOr<std::unique_ptr<ModelFolder>> OpenModelFolder(const std::string& path,
                                                             const OpenOptions& options) {
  auto folder = std::make_unique<ModelFolder>();
  folder->path = path;
  QIAO_RETURN_IF_ERROR(OpenFiles(path, folder->files, folder->qiao_file));
  const FileSet& files = *folder->files;
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                        files.Read("config.json", formats::kMaxConfigBytes));
  if (!text) {
    return NotFound("%s: is missing; %s is not a model's %s", files.Where("config.json"), path,
                    folder->qiao_file != nullptr ? "file" : "folder");
  }
  QIAO_ASSIGN_OR_RETURN(formats::ConfigReader config,
                        formats::ConfigReader::Parse(*text, files.Where("config.json")));
  QIAO_ASSIGN_OR_RETURN(folder->model, models::MakeModel(config));
  folder->unread_keys = config.UnreadKeys();
  QIAO_ASSIGN_OR_RETURN(folder->generation, formats::OpenGenerationConfig(files));
  if (options.checkpoint && folder->qiao_file != nullptr) {
    const bool small = folder->qiao_file->file_bytes() <= formats::kVerifyOnOpenBytes;
    if (options.verify == formats::Verify::kAll || (options.verify == formats::Verify::kAuto && small)) {
      QIAO_RETURN_IF_ERROR(folder->qiao_file->VerifyTensors(options.progress));
      folder->verified = true;
    }
    folder->checkpoint = std::make_unique<formats::Checkpoint>(formats::Checkpoint::Of(folder->qiao_file));
  } else if (options.checkpoint) {
    QIAO_ASSIGN_OR_RETURN(formats::Checkpoint checkpoint, formats::Checkpoint::Open(path, options.progress));
    folder->checkpoint = std::make_unique<formats::Checkpoint>(std::move(checkpoint));
  }
  if (options.text) QIAO_RETURN_IF_ERROR(OpenText(*folder));
  return folder;
}

}  // namespace qiao::engine
