// infer tokenize: needs the tokenizer's files and nothing else of a model.
#include <limits>
#include <optional>

#include "runtime/base/json.h"
#include "runtime/engine/model_folder.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/input.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

class Converter {
 public:
  explicit Converter(std::shared_ptr<const FileSet> files) : files_(std::move(files)) {}

  // Answers one request; `what` names it in errors.
  absl::StatusOr<OrderedJson> Answer(std::string_view line, std::string_view what) {
    QIAO_ASSIGN_OR_RETURN(const OrderedJson request, ParseOrderedJson(line, what));
    if (request.is_object()) {
      if (request.contains("messages")) return Render(request, what);
      if (request.contains("text")) return Encode(request["text"], what);
      if (request.contains("ids")) return Decode(request["ids"], what);
    }
    return InvalidArgument("%s: is none of {\"text\":..}, {\"ids\":..}, {\"messages\":..}", what);
  }

  absl::StatusOr<OrderedJson> Encode(const OrderedJson& text, std::string_view what) {
    if (!text.is_string()) return InvalidArgument("%s: text: must be a string", what);
    QIAO_ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, GetTokenizer());
    QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                          tokenizer->Encode(text.get_ref<const std::string&>(), /*add_special=*/false));
    return OrderedJson{{"ids", std::move(ids)}};
  }

  // Read when it is first needed: chat templates do without it.
  absl::StatusOr<const text::Tokenizer*> GetTokenizer() {
    if (!tokenizer_) {
      auto tokenizer = text::Tokenizer::FromFiles(*files_);
      if (!tokenizer.ok()) return WithExit(tokenizer.status(), kExitModel);
      tokenizer_.emplace(*std::move(tokenizer));
    }
    return &*tokenizer_;
  }

 private:
  absl::StatusOr<OrderedJson> Decode(const OrderedJson& json, std::string_view what) {
    QIAO_ASSIGN_OR_RETURN(const text::Tokenizer* tokenizer, GetTokenizer());
    if (!json.is_array()) return InvalidArgument("%s: ids: must be a list of whole numbers", what);
    std::vector<int32_t> ids;
    for (const OrderedJson& id : json) {
      const auto value = id.is_number_integer() ? id.get<int64_t>() : -1;
      if (value < 0 || value > std::numeric_limits<int32_t>::max()) {
        return InvalidArgument("%s: ids[%d]: is no token id", what, ids.size());
      }
      ids.push_back(static_cast<int32_t>(value));
    }
    return OrderedJson{{"text", tokenizer->Decode(ids, /*skip_special=*/false)}};
  }

  absl::StatusOr<OrderedJson> Render(const OrderedJson& json, std::string_view what) {
    if (!templates_) {
      auto templates = text::ChatTemplates::Load(*files_);
      if (!templates.ok()) return WithExit(templates.status(), kExitModel);
      templates_.emplace(*std::move(templates));
    }
    text::ChatRequest request;
    request.messages = json["messages"];
    request.add_generation_prompt = false;  // as apply_chat_template has it
    if (json.contains("add_generation_prompt") && !json["add_generation_prompt"].is_null()) {
      if (!json["add_generation_prompt"].is_boolean()) {
        return InvalidArgument("%s: add_generation_prompt: must be true or false", what);
      }
      request.add_generation_prompt = json["add_generation_prompt"].get<bool>();
    }
    if (json.contains("tools")) request.tools = json["tools"];
    if (json.contains("documents")) request.documents = json["documents"];
    if (json.contains("kwargs") && !json["kwargs"].is_null()) request.kwargs = json["kwargs"];
    QIAO_ASSIGN_OR_RETURN(std::string text, templates_->Render(request));
    return OrderedJson{{"rendered", std::move(text)}};
  }

  std::shared_ptr<const FileSet> files_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplates> templates_;
};

}  // namespace

absl::Status Tokenize(const TokenizeArgs& args) {
  auto files = engine::OpenModelFiles(args.model);
  if (!files.ok()) return WithExit(files.status(), kExitModel);
  Converter converter(*std::move(files));
  if (args.jsonl) {
    int64_t lines = 0, failed = 0;
    QIAO_RETURN_IF_ERROR(ForEachLine(*args.jsonl, [&](int64_t number, std::string_view line) -> absl::Status {
      auto answer = converter.Answer(line, absl::StrFormat("line %d", number));
      ++lines;
      if (answer.ok()) {
        PrintJson(*answer);
      } else if (ExitOf(answer.status()) == kExitModel) {
        return answer.status();  // no other line would fare better
      } else {
        ++failed;
        PrintJson(OrderedJson{{"error", std::string(Message(answer.status()))}});
      }
      return absl::OkStatus();
    }));
    if (failed > 0) return InvalidArgument("%d of %d lines failed", failed, lines);
    return absl::OkStatus();
  }
  std::string text;
  if (args.text) {
    text = *args.text;
  } else {
    QIAO_ASSIGN_OR_RETURN(text, ReadInput(args.file.value_or("-")));
  }
  QIAO_ASSIGN_OR_RETURN(const OrderedJson ids, converter.Encode(OrderedJson(std::move(text)), "the text"));
  PrintJson(ids);
  return absl::OkStatus();
}

}  // namespace qiao::tools
