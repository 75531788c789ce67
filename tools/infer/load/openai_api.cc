#include "tools/infer/load/openai_api.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr size_t kMostErrorText = 300;
constexpr char kDone[] = "[DONE]";

// Members of what may be anything: absent where the parent is no object.
const Json* Find(const Json* json, const char* key) {
  if (json == nullptr || !json->is_object()) return nullptr;
  const auto at = json->find(key);
  return at == json->end() || at->is_null() ? nullptr : &*at;
}
const Json* First(const Json* json) {
  return json == nullptr || !json->is_array() || json->empty() ? nullptr : &json->front();
}
std::string Text(const Json* json) {
  const std::string* text = json == nullptr ? nullptr : json->get_ptr<const std::string*>();
  return text == nullptr ? "" : *text;
}
std::optional<double> Number(const Json* json) {
  if (json == nullptr || !json->is_number()) return std::nullopt;
  return json->get<double>();
}
std::optional<int64_t> Count(const Json* json) {
  constexpr double kMost = 9e15;  // whole numbers of a double
  const std::optional<double> number = Number(json);
  if (!number || !(*number >= 0) || *number > kMost) return std::nullopt;
  return static_cast<int64_t>(*number);
}
int64_t CountOr0(const Json* json) { return Count(json).value_or(0); }

std::string Shortened(std::string_view text) {
  std::string shown = Printable(text.substr(0, kMostErrorText));
  if (text.size() > kMostErrorText) shown += "...";
  return shown;
}

std::string ErrorOf(const Json* error) {
  if (error == nullptr) return "";
  if (std::string text = Text(error); !text.empty()) return Shortened(text);
  if (std::string text = Text(Find(error, "message")); !text.empty()) return Shortened(text);
  return "an error without a message";
}

void ReadUsage(const Json* usage, CompletionChunk& chunk) {
  chunk.prompt_tokens = Count(Find(usage, "prompt_tokens"));
  chunk.completion_tokens = Count(Find(usage, "completion_tokens"));
  chunk.cached_tokens = Count(Find(Find(usage, "prompt_tokens_details"), "cached_tokens"));
}

}  // namespace

std::string CompletionCall::Body() const {
  std::string json = absl::StrCat("{\"model\":", DumpJson(model));
  if (chat) {
    absl::StrAppend(&json, ",\"messages\":[{\"role\":\"user\",\"content\":", DumpJson(text), "}]");
  } else if (ids.empty()) {
    absl::StrAppend(&json, ",\"prompt\":", DumpJson(text));
  } else {
    json += ",\"prompt\":[";
    for (size_t i = 0; i < ids.size(); ++i) absl::StrAppend(&json, i == 0 ? "" : ",", ids[i]);
    json += ']';
  }
  absl::StrAppend(&json, ",\"max_tokens\":", max_tokens, ",\"temperature\":", temperature);
  if (seed) absl::StrAppend(&json, ",\"seed\":", *seed);
  if (ignore_eos) json += ",\"ignore_eos\":true";
  if (efficiency) json += ",\"efficiency\":true";
  json += ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}";
  return json;
}

absl::StatusOr<CompletionChunk> ReadChunk(const SseEvent& event) {
  CompletionChunk chunk;
  if (event.data == kDone) {
    chunk.done = true;
    return chunk;
  }
  const absl::StatusOr<Json> parsed = ParseJson(event.data, "an event of the answer");
  if (!parsed.ok()) return DataLoss("%s", Message(parsed.status()));
  if (!parsed->is_object()) return DataLoss("an event of the answer is not a JSON object");
  const Json* json = &*parsed;
  chunk.error = ErrorOf(Find(json, "error"));
  if (chunk.error.empty() && event.name == "error") chunk.error = Shortened(event.data);
  const Json* choice = First(Find(json, "choices"));
  const Json* delta = Find(choice, "delta");
  chunk.text = Text(Find(choice, "text"));
  for (const char* key : {"reasoning_content", "reasoning", "content"}) chunk.text += Text(Find(delta, key));
  chunk.piece = !chunk.text.empty() || First(Find(delta, "tool_calls")) != nullptr;
  chunk.finish = Text(Find(choice, "finish_reason"));
  ReadUsage(Find(json, "usage"), chunk);
  const Json* efficiency = Find(json, "efficiency");
  chunk.queue_seconds = Number(Find(efficiency, "queue_seconds"));
  if (!chunk.cached_tokens) chunk.cached_tokens = Count(Find(efficiency, "cached_tokens"));
  chunk.drafted = Count(Find(Find(efficiency, "mtp"), "drafted"));
  chunk.accepted = Count(Find(Find(efficiency, "mtp"), "accepted"));
  return chunk;
}

std::string ErrorText(std::string_view body) {
  const absl::StatusOr<Json> json = ParseJson(body, "answer");
  if (json.ok()) {
    for (const char* key : {"error", "message", "detail"}) {
      if (const Json* found = Find(&*json, key)) return ErrorOf(found);
    }
  }
  return Shortened(body);
}

absl::StatusOr<ListedModel> ReadModels(std::string_view body) {
  QIAO_ASSIGN_OR_RETURN(const Json json, ParseJson(body, kModelsRoute));
  const Json* model = First(Find(&json, "data"));
  ListedModel listed;
  listed.id = Text(Find(model, "id"));
  if (listed.id.empty()) return DataLoss("%s: \"data\" lists no model with an \"id\"", kModelsRoute);
  for (const char* key : {"max_model_len", "context", "context_length", "context_window"}) {
    if (listed.context == 0) listed.context = CountOr0(Find(model, key));
  }
  if (listed.context == 0) listed.context = CountOr0(Find(Find(model, "meta"), "n_ctx"));
  return listed;
}

absl::StatusOr<ServerStats> ReadStats(std::string_view body) {
  QIAO_ASSIGN_OR_RETURN(const Json json, ParseJson(body, kStatsRoute));
  const Json *now = Find(&json, "now"), *totals = Find(&json, "totals"), *model = Find(&json, "model");
  if (!Count(Find(now, "running")) || !Count(Find(now, "waiting"))) {
    return DataLoss("%s: there is no \"now\" with \"running\" and \"waiting\"", kStatsRoute);
  }
  ServerStats stats;
  stats.state.running = CountOr0(Find(now, "running"));
  stats.state.waiting = CountOr0(Find(now, "waiting"));
  stats.state.prompt_tokens = CountOr0(Find(totals, "prompt_tokens"));
  stats.state.generated_tokens = CountOr0(Find(totals, "generated_tokens"));
  stats.state.steps = CountOr0(Find(totals, "steps"));
  stats.state.rows = CountOr0(Find(totals, "rows"));
  stats.state.step_seconds = Number(Find(totals, "step_seconds")).value_or(0);
  stats.pages = CountOr0(Find(now, "pages"));
  stats.pages_free = CountOr0(Find(now, "pages_free"));
  stats.pages_cached = CountOr0(Find(now, "pages_cached"));
  stats.connections = CountOr0(Find(now, "connections"));
  stats.model = Text(Find(model, "id"));
  stats.family = Text(Find(model, "family"));
  stats.weight_format = Text(Find(model, "weight_format"));
  stats.context = CountOr0(Find(model, "context"));
  stats.cache_bytes_per_token = static_cast<uint64_t>(CountOr0(Find(model, "cache_bytes_per_token")));
  return stats;
}

}  // namespace qiao::tools
