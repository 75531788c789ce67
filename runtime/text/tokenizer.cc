#include "runtime/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "runtime/base/json.h"
#include "runtime/text/bpe.h"
#include "runtime/text/detokenizer_decoder.h"
#include "runtime/text/normalizer.h"
#include "runtime/text/pretokenizer.h"
#include "runtime/text/tokenizer_added.h"
#include "runtime/text/tokenizer_cache.h"
#include "runtime/text/tokenizer_json.h"
#include "runtime/text/tokenizer_template.h"
#include "runtime/text/utf8.h"

namespace qiao::text {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

// A special token of tokenizer_config.json: a string, or an object with its content.
absl::StatusOr<std::string> SpecialTokenText(const Json& config, const char* name, std::string_view where) {
  const Json& token = Field(config, name);
  if (token.is_null()) return std::string();
  if (token.is_object()) return StringField(token, "content", absl::StrFormat("%s: %s", where, name));
  if (token.is_string()) return token.get<std::string>();
  return InvalidArgument("%s: %s: must be a string or an object with \"content\"", where, name);
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(Bpe b) : bpe(std::move(b)) {}

  Bpe bpe;
  Normalizer normalizer;
  AddedTokens added;
  PreTokenizer pre;
  PostProcessor post;
  Decoder decoder;
  int32_t vocab_size = 0;
  std::optional<int32_t> bos, eos, pad;
  bool add_bos = false, add_eos = false;
  mutable WordCache cache;

  absl::Status CheckAdded(std::string_view where);
  absl::Status CheckTemplate(std::string_view name) const;
  std::optional<int32_t> IdOf(std::string_view piece) const;
  std::string_view PieceOf(int32_t id) const;
  // Text without tokens that are sought before normalisation; `at_start` if it begins the input.
  absl::Status EncodeRaw(std::string_view text, bool at_start, bool special_as_text, Bpe::Scratch* scratch,
                         std::vector<int32_t>* ids) const;
  absl::Status EncodeNormalized(std::string text, bool at_start, Bpe::Scratch* scratch,
                                std::vector<int32_t>* ids) const;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

absl::StatusOr<Tokenizer> Tokenizer::FromJson(std::string_view bytes, std::string_view name) {
  JsonLimits limits;
  limits.max_bytes = kMaxFileBytes;
  limits.max_values = size_t{8} << 20;
  QIAO_ASSIGN_OR_RETURN(const Json root, ParseJson(bytes, name, limits));
  if (!root.is_object()) return InvalidArgument("%s: must be an object", name);
  const auto where = [&](const char* field) { return absl::StrFormat("%s: %s", name, field); };
  const Json& model = Field(root, "model");
  if (!model.is_object()) return InvalidArgument("%s: model: must be an object", name);
  QIAO_ASSIGN_OR_RETURN(Bpe bpe, Bpe::FromJson(model, where("model")));
  auto impl = std::make_unique<Impl>(std::move(bpe));
  QIAO_ASSIGN_OR_RETURN(impl->normalizer,
                        Normalizer::FromJson(Field(root, "normalizer"), where("normalizer")));
  QIAO_ASSIGN_OR_RETURN(impl->added, AddedTokens::FromJson(Field(root, "added_tokens"), impl->normalizer,
                                                           where("added_tokens")));
  QIAO_ASSIGN_OR_RETURN(impl->pre,
                        PreTokenizer::FromJson(Field(root, "pre_tokenizer"), where("pre_tokenizer")));
  QIAO_ASSIGN_OR_RETURN(impl->post,
                        PostProcessor::FromJson(Field(root, "post_processor"), where("post_processor")));
  QIAO_ASSIGN_OR_RETURN(impl->decoder, Decoder::FromJson(Field(root, "decoder"), where("decoder")));
  QIAO_RETURN_IF_ERROR(impl->CheckAdded(where("added_tokens")));
  QIAO_RETURN_IF_ERROR(impl->CheckTemplate(where("post_processor")));
  return Tokenizer(std::move(impl));
}

absl::StatusOr<Tokenizer> Tokenizer::FromDir(const std::string& dir) { return FromFiles(FolderFiles(dir)); }

absl::StatusOr<Tokenizer> Tokenizer::FromFiles(const FileSet& files) {
  const std::string where = files.Where("tokenizer.json");
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, files.Read("tokenizer.json", kMaxFileBytes));
  if (!bytes) return NotFound("%s: there is no such file", where);
  QIAO_ASSIGN_OR_RETURN(Tokenizer tokenizer, FromJson(*bytes, where));
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> config,
                        files.Read("tokenizer_config.json", kMaxConfigBytes));
  if (config) QIAO_RETURN_IF_ERROR(tokenizer.ReadConfig(*config, files.Where("tokenizer_config.json")));
  return tokenizer;
}

absl::Status Tokenizer::ReadConfig(std::string_view bytes, std::string_view name) {
  QIAO_ASSIGN_OR_RETURN(const Json config, ParseJson(bytes, name));
  if (!config.is_object()) return InvalidArgument("%s: must be an object", name);
  const std::pair<const char*, std::optional<int32_t>*> tokens[] = {
      {"bos_token", &impl_->bos}, {"eos_token", &impl_->eos}, {"pad_token", &impl_->pad}};
  for (const auto& [field, id] : tokens) {
    QIAO_ASSIGN_OR_RETURN(const std::string text, SpecialTokenText(config, field, name));
    if (text.empty()) continue;
    *id = IdOf(text);
    if (!*id) return InvalidArgument("%s: %s: \"%s\" is not a token of tokenizer.json", name, field, text);
  }
  QIAO_ASSIGN_OR_RETURN(impl_->add_bos, BoolField(config, "add_bos_token", name, false));
  QIAO_ASSIGN_OR_RETURN(impl_->add_eos, BoolField(config, "add_eos_token", name, false));
  return absl::OkStatus();
}

// An added token may repeat a piece of the vocabulary, with the piece's id; it may not contradict it.
absl::Status Tokenizer::Impl::CheckAdded(std::string_view where) {
  int32_t max_id = bpe.max_id();
  for (const AddedToken& token : added.all()) {
    const int32_t id = bpe.IdOf(token.content);
    if (id >= 0 && id != token.id) {
      return InvalidArgument("%s: \"%s\" has id %d, but model.vocab gives it %d", where, token.content,
                             token.id, id);
    }
    const std::string* piece = bpe.PieceOf(token.id);
    if (piece && *piece != token.content) {
      return InvalidArgument("%s: \"%s\" has id %d, which model.vocab gives to \"%s\"", where, token.content,
                             token.id, piece->substr(0, 80));
    }
    max_id = std::max(max_id, token.id);
  }
  vocab_size = max_id + 1;
  return absl::OkStatus();
}

absl::Status Tokenizer::Impl::CheckTemplate(std::string_view where) const {
  for (const std::vector<int32_t>* ids : {&post.before, &post.after}) {
    for (const int32_t id : *ids) {
      if (id >= vocab_size)
        return InvalidArgument("%s: id %d is not in the vocabulary of %d", where, id, vocab_size);
    }
  }
  return absl::OkStatus();
}

std::optional<int32_t> Tokenizer::Impl::IdOf(std::string_view piece) const {
  if (const AddedToken* token = added.Find(piece)) return token->id;
  const int32_t id = bpe.IdOf(piece);
  return id >= 0 ? std::optional(id) : std::nullopt;
}

std::string_view Tokenizer::Impl::PieceOf(int32_t id) const {
  if (const AddedToken* token = added.Find(id)) return token->content;
  const std::string* piece = bpe.PieceOf(id);
  return piece ? std::string_view(*piece) : std::string_view();
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, bool add_special,
                                                       bool special_as_text) const {
  if (text.size() > kMaxEncodeBytes) {
    return InvalidArgument("a text of %d bytes; at most %d can be encoded at once", text.size(),
                           kMaxEncodeBytes);
  }
  std::string repaired;
  if (!IsValidUtf8(text)) {
    repaired = ReplaceInvalidUtf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids;
  if (add_special) ids = impl_->post.before;
  std::vector<AddedTokenFinder::Found> parts;
  impl_->added.raw().Split(text, special_as_text, &parts);
  Bpe::Scratch scratch;
  for (const auto& [range, id] : parts) {
    if (id >= 0) {
      ids.push_back(id);
      continue;
    }
    QIAO_RETURN_IF_ERROR(impl_->EncodeRaw(text.substr(range.first, range.last - range.first),
                                          range.first == 0, special_as_text, &scratch, &ids));
  }
  if (add_special) ids.insert(ids.end(), impl_->post.after.begin(), impl_->post.after.end());
  return ids;
}

absl::Status Tokenizer::Impl::EncodeRaw(std::string_view text, bool at_start, bool special_as_text,
                                        Bpe::Scratch* scratch, std::vector<int32_t>* ids) const {
  std::string normalized;
  if (!normalizer.is_identity()) {
    QIAO_ASSIGN_OR_RETURN(normalized, normalizer.Apply(text));
    text = normalized;
  }
  std::vector<AddedTokenFinder::Found> parts;
  added.normalized().Split(text, special_as_text, &parts);
  for (const auto& [range, id] : parts) {
    if (id >= 0) {
      ids->push_back(id);
      continue;
    }
    QIAO_RETURN_IF_ERROR(EncodeNormalized(std::string(text.substr(range.first, range.last - range.first)),
                                          at_start && range.first == 0, scratch, ids));
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::Impl::EncodeNormalized(std::string text, bool at_start, Bpe::Scratch* scratch,
                                               std::vector<int32_t>* ids) const {
  QIAO_ASSIGN_OR_RETURN(const Words words, pre.Split(std::move(text), at_start));
  for (const TextRange& range : words.ranges) {
    const auto word = std::string_view(words.text).substr(range.first, range.last - range.first);
    // A tokenizer's words are all bytes or all characters, so the word alone is a sufficient key.
    const bool cached = word.size() <= WordCache::kMaxWordBytes;
    if (cached && cache.Find(word, ids)) continue;
    const size_t before = ids->size();
    QIAO_RETURN_IF_ERROR(bpe.EncodeWord(word, words.as_bytes, scratch, ids));
    if (cached) cache.Put(word, ids->data() + before, ids->size() - before);
  }
  return absl::OkStatus();
}

std::string Tokenizer::Decode(absl::Span<const int32_t> ids, bool skip_special) const {
  Decoder::State state;
  std::string out;
  for (const int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    if (const std::string_view piece = PieceOf(id); !piece.empty()) impl_->decoder.Push(piece, &state, &out);
  }
  impl_->decoder.Finish(&state, &out);
  return out;
}

int32_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
std::optional<int32_t> Tokenizer::IdOf(std::string_view piece) const { return impl_->IdOf(piece); }
std::string_view Tokenizer::PieceOf(int32_t id) const { return impl_->PieceOf(id); }

std::string Tokenizer::TokenBytes(int32_t id) const {
  if (const AddedToken* token = impl_->added.Find(id)) return token->content;
  return impl_->decoder.BytesOf(PieceOf(id));
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = impl_->added.Find(id);
  return token && token->special;
}

std::optional<int32_t> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return impl_->eos; }
std::optional<int32_t> Tokenizer::pad_id() const { return impl_->pad; }
bool Tokenizer::add_bos_token() const { return impl_->add_bos; }
bool Tokenizer::add_eos_token() const { return impl_->add_eos; }
const Decoder& Tokenizer::decoder() const { return impl_->decoder; }

}  // namespace qiao::text
