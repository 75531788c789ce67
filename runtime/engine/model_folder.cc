#include "runtime/engine/model_folder.h"

#include <sys/stat.h>

#include <utility>

#include "runtime/formats/model_config.h"

namespace qiao::engine {
namespace {

bool Exists(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0;
}

absl::Status OpenText(ModelFolder& folder) {
  if (!Exists(folder.path + "/tokenizer.json")) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::FromDir(folder.path));
  if (tokenizer.vocab_size() > folder.model->info().vocab) {
    return InvalidArgument("%s/tokenizer.json: has %d tokens, but config.json's vocab_size is %d",
                           folder.path, tokenizer.vocab_size(), folder.model->info().vocab);
  }
  folder.tokenizer.emplace(std::move(tokenizer));
  absl::StatusOr<text::ChatTemplates> chat = text::LoadChatTemplate(folder.path);
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

absl::StatusOr<std::unique_ptr<ModelFolder>> OpenModelFolder(const std::string& path,
                                                             const OpenOptions& options) {
  if (!Exists(path)) return NotFound("%s: no such folder; give the folder that holds config.json", path);
  if (!Exists(path + "/config.json")) {
    return NotFound("%s/config.json: is missing; %s is not a model's folder", path, path);
  }
  auto folder = std::make_unique<ModelFolder>();
  folder->path = path;
  QIAO_ASSIGN_OR_RETURN(formats::ConfigReader config, formats::ConfigReader::Open(path + "/config.json"));
  QIAO_ASSIGN_OR_RETURN(folder->model, models::MakeModel(config));
  folder->unread_keys = config.UnreadKeys();
  QIAO_ASSIGN_OR_RETURN(folder->generation, formats::OpenGenerationConfig(path + "/generation_config.json"));
  if (options.checkpoint) {
    QIAO_ASSIGN_OR_RETURN(formats::Checkpoint checkpoint, formats::Checkpoint::Open(path, options.progress));
    folder->checkpoint = std::make_unique<formats::Checkpoint>(std::move(checkpoint));
  }
  if (options.text) QIAO_RETURN_IF_ERROR(OpenText(*folder));
  return folder;
}

}  // namespace qiao::engine
