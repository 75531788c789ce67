// infer perplexity: how well a model predicts a text. The protocol is that of models/demo/README.md.
#include "runtime/engine/perplexity.h"

#include <cmath>
#include <cstdio>

#include "runtime/base/json.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/input.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::StatusOr<std::vector<std::string>> ReadDocuments(const PerplexityArgs& args) {
  std::vector<std::string> documents;
  if (args.file) {
    QIAO_ASSIGN_OR_RETURN(std::string text, ReadInput(*args.file));
    documents.push_back(std::move(text));
    return documents;
  }
  QIAO_RETURN_IF_ERROR(ForEachLine(*args.jsonl, [&](int64_t number, std::string_view line) -> absl::Status {
    const std::string what = absl::StrFormat("%s: line %d", *args.jsonl, number);
    auto json = ParseJson(line, what);
    if (!json.ok()) return WithExit(json.status(), kExitModel);
    if (!json->is_object() || !json->contains("text") || !(*json)["text"].is_string()) {
      return WithExit(InvalidArgument("%s: must be an object with a string \"text\"", what), kExitModel);
    }
    documents.push_back((*json)["text"].get<std::string>());
    return absl::OkStatus();
  }));
  if (documents.empty()) return WithExit(InvalidArgument("%s: holds no document", *args.jsonl), kExitModel);
  return documents;
}

}  // namespace

absl::Status Perplexity(const PerplexityArgs& args) {
  CatchInterrupts();
  QIAO_ASSIGN_OR_RETURN(const std::vector<std::string> documents, ReadDocuments(args));
  const auto adjust = [&](const engine::ModelFolder& folder, engine::RunnerOptions& options) -> absl::Status {
    if (args.window > folder.model->info().context) {
      return UsageError(absl::StrFormat("--window %d is more than the %d tokens that the model was made for",
                                        args.window, folder.model->info().context));
    }
    options.context = args.window;
    options.all_logits = true;
    return absl::OkStatus();
  };
  QIAO_ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(args.model, args.device, /*text=*/true, adjust));
  const engine::ModelFolder& folder = *loaded.folder;
  engine::Runner& runner = *loaded.runner;
  if (!folder.tokenizer) return WithExit(NotFound("%s/tokenizer.json: is missing", args.model), kExitModel);
  const std::optional<int32_t> bos = folder.BeginOfText();
  const std::vector<int32_t> ends = folder.EndOfText();
  if (!bos || ends.empty()) {
    return WithExit(
        NotFound("%s: neither the config nor the tokenizer tells the tokens that begin and end a text",
                 args.model),
        kExitModel);
  }

  std::vector<std::vector<int32_t>> texts;
  uint64_t total = 0;
  for (const std::string& document : documents) {
    QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                          folder.tokenizer->Encode(document, /*add_special=*/false));
    ids.insert(ids.begin(), *bos);
    ids.push_back(ends.front());
    total += ids.size() - 1;
    texts.push_back(std::move(ids));
  }
  ProgressBar bar(ProgressBar::kCount);
  double loss = 0;
  uint64_t scored = 0;
  for (const std::vector<int32_t>& ids : texts) {
    QIAO_ASSIGN_OR_RETURN(const engine::Loss text,
                          engine::ScoreText(runner, ids, args.window, [&](int64_t tokens) {
                            return bar.Update("predicting", scored + static_cast<uint64_t>(tokens), total);
                          }));
    loss += text.negative_log_likelihood;
    scored += static_cast<uint64_t>(text.tokens);
  }
  bar.Clear();
  const double perplexity = std::exp(loss / static_cast<double>(scored));
  if (args.json) {
    PrintJson({{"perplexity", perplexity},
               {"tokens", scored},
               {"negative_log_likelihood", loss},
               {"documents", texts.size()},
               {"window", args.window},
               {"numerics", args.device.numerics},
               {"backend", args.device.backend}});
  } else {
    std::printf("perplexity %.4f over %s tokens of %s documents (windows of %d, %s on %s)\n", perplexity,
                Grouped(scored).c_str(), Grouped(texts.size()).c_str(), static_cast<int>(args.window),
                args.device.numerics.c_str(), args.device.backend.c_str());
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
