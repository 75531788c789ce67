// Text to token ids and back, as Hugging Face tokenizers does it for byte-pair encodings, from the same
// files.
//
//   QIAO_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::FromDir(model_dir));
//   QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode("Hello, world!", /*add_special=*/true));
//   std::string text = tokenizer.Decode(ids, /*skip_special=*/true);
//
// Encoding: added tokens are cut out, what lies between is normalised (normalizer.h), split into words
// (pretokenizer.h) and merged (bpe.h). Decoding: detokenizer_decoder.h. For text that is generated, see
// detokenizer.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/file_set.h"
#include "runtime/base/status.h"

namespace qiao::text {

class Decoder;

inline constexpr size_t kMaxEncodeBytes = size_t{256} << 20;

// Immutable and thread-safe once made (a bounded cache of words inside is locked). Moving it leaves what
// points to it, such as a Detokenizer, valid; destroying it does not.
class Tokenizer {
 public:
  // A tokenizer.json. `name` names it in errors.
  static absl::StatusOr<Tokenizer> FromJson(std::string_view bytes, std::string_view name);
  // A model's folder: tokenizer.json, and tokenizer_config.json if there is one.
  static absl::StatusOr<Tokenizer> FromDir(const std::string& dir);
  // The same of other files by these names. NOT_FOUND without a tokenizer.json.
  static absl::StatusOr<Tokenizer> FromFiles(const FileSet& files);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // The ids of `text`. What is not UTF-8 in it counts as U+FFFD, one for each maximal invalid part, as if
  // Python had read the bytes with errors="replace". Added tokens that occur in the text become their ids;
  // with `special_as_text` the special ones among them do not, for text that must not control the model.
  // `add_special` adds what the post-processor of tokenizer.json adds, and nothing else: add_bos_token of the
  // configuration is not applied (transformers 5 does not either); whoever wants it asks add_bos_token()
  // below. At most kMaxEncodeBytes.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text, bool add_special,
                                              bool special_as_text = false) const;

  // The text of `ids`: always valid UTF-8, with U+FFFD for bytes that are not. Ids without a piece add
  // nothing; with `skip_special`, special tokens do not either.
  std::string Decode(absl::Span<const int32_t> ids, bool skip_special) const;

  // All ids are below this; there may be gaps.
  int32_t vocab_size() const;
  // The id of a piece or added token as the file spells it (in GPT-2's byte alphabet for byte-level models).
  std::optional<int32_t> IdOf(std::string_view piece) const;
  // The spelling of an id; empty if there is none. Valid as long as the tokenizer.
  std::string_view PieceOf(int32_t id) const;
  // The bytes that an id adds to a text; they need not be whole characters.
  std::string TokenBytes(int32_t id) const;
  // Whether it is an added token that is marked special.
  bool is_special(int32_t id) const;

  // From tokenizer_config.json; empty without it. The error of an unknown token comes from FromDir.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  bool add_bos_token() const;
  bool add_eos_token() const;

  const Decoder& decoder() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  absl::Status ReadConfig(std::string_view bytes, std::string_view name);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qiao::text
