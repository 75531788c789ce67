#include "runtime/text/tokenizer_template.h"

#include "runtime/text/bpe.h"
#include "runtime/text/tokenizer_json.h"

namespace qiao::text {
namespace {

constexpr size_t kMaxTemplateIds = 1024;

absl::Status AddTemplate(const Json& spec, std::string_view where, PostProcessor* post) {
  const Json& single = Field(spec, "single");
  if (!single.is_array()) return InvalidArgument("%s.single: must be an array", where);
  std::vector<int32_t> before, after;
  bool seen_text = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const std::string at = absl::StrFormat("%s.single[%d]", where, i);
    if (const Json& sequence = Field(single[i], "Sequence"); sequence.is_object()) {
      QIAO_ASSIGN_OR_RETURN(const std::string id, StringField(sequence, "id", at));
      if (id != "A" || seen_text)
        return InvalidArgument("%s: a template of one text has Sequence \"A\" once", at);
      seen_text = true;
      continue;
    }
    const Json& special = Field(single[i], "SpecialToken");
    if (!special.is_object())
      return InvalidArgument("%s: must be {\"Sequence\": ...} or {\"SpecialToken\": ...}", at);
    QIAO_ASSIGN_OR_RETURN(const std::string name, StringField(special, "id", at));
    const Json& ids = Field(Field(Field(spec, "special_tokens"), name.c_str()), "ids");
    if (!ids.is_array()) return InvalidArgument("%s: \"%s\" is not among %s.special_tokens", at, name, where);
    for (const Json& id : ids) {
      if (!IsIndex(id, kMaxTokenId)) {
        return InvalidArgument("%s.special_tokens[\"%s\"].ids: must be integers from 0 to %d", where, name,
                               kMaxTokenId);
      }
      (seen_text ? after : before).push_back(id.get<int32_t>());
    }
    if (before.size() + after.size() > kMaxTemplateIds)
      return InvalidArgument("%s: more than %d ids", where, kMaxTemplateIds);
  }
  if (!seen_text) return InvalidArgument("%s.single: has no Sequence \"A\"", where);
  post->before.insert(post->before.begin(), before.begin(), before.end());
  post->after.insert(post->after.end(), after.begin(), after.end());
  return absl::OkStatus();
}

absl::Status Add(const Json& spec, std::string_view where, int depth, PostProcessor* post) {
  if (depth > kMaxPartDepth) return InvalidArgument("%s: Sequences nested too deeply", where);
  QIAO_ASSIGN_OR_RETURN(const std::string_view type, TypeOf(spec, where));
  if (type == "ByteLevel") return absl::OkStatus();
  if (type == "TemplateProcessing") return AddTemplate(spec, where, post);
  if (type != "Sequence") {
    return Unimplemented(
        "%s: post-processor type \"%s\" is not supported (known: ByteLevel, TemplateProcessing, "
        "Sequence)",
        where, type);
  }
  const Json& parts = Field(spec, "processors");
  if (!parts.is_array()) return InvalidArgument("%s.processors: must be an array", where);
  if (parts.size() > kMaxParts) return InvalidArgument("%s.processors: more than %d", where, kMaxParts);
  for (size_t i = 0; i < parts.size(); ++i) {
    QIAO_RETURN_IF_ERROR(Add(parts[i], absl::StrFormat("%s.processors[%d]", where, i), depth + 1, post));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PostProcessor> PostProcessor::FromJson(const Json& spec, std::string_view where) {
  PostProcessor post;
  if (spec.is_null()) return post;
  QIAO_RETURN_IF_ERROR(Add(spec, where, 0, &post));
  return post;
}

}  // namespace qiao::text
