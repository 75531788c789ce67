#include "tests/models/shipped.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "runtime/base/json.h"
#include "runtime/engine/perplexity.h"

namespace qiao {

engine::RunnerOptions ShippedOptions(std::string_view numerics, std::string_view kv_dtype) {
  engine::RunnerOptions options;
  options.numerics = *engine::WithKvDtype(*engine::ParseNumerics(numerics), kv_dtype);
  options.context = 1024;
  options.all_logits = true;
  return options;
}

std::vector<std::vector<int32_t>> ShippedDocuments(const engine::ModelFolder& folder, size_t at_most) {
  std::vector<std::vector<int32_t>> documents;
  std::ifstream file(std::string(kShipped) + "/eval/test.jsonl");
  for (std::string line; documents.size() < at_most && std::getline(file, line);) {
    auto json = ParseJson(line, "test.jsonl");
    EXPECT_TRUE(json.ok()) << json.status();
    auto ids = folder.tokenizer->Encode((*json)["text"].get<std::string>(), false);
    EXPECT_TRUE(ids.ok()) << ids.status();
    ids->insert(ids->begin(), *folder.BeginOfText());
    ids->push_back(folder.EndOfText().front());
    documents.push_back(*std::move(ids));
  }
  return documents;
}

double Perplexity(engine::Runner& runner, const std::vector<std::vector<int32_t>>& documents) {
  engine::Loss total;
  for (const std::vector<int32_t>& ids : documents) {
    absl::StatusOr<engine::Loss> loss = engine::ScoreText(runner, ids, 1024);
    EXPECT_TRUE(loss.ok()) << loss.status();
    if (!loss.ok()) return NAN;
    total.negative_log_likelihood += loss->negative_log_likelihood;
    total.tokens += loss->tokens;
  }
  EXPECT_EQ(total.tokens, 40809);
  return std::exp(total.negative_log_likelihood / static_cast<double>(total.tokens));
}

}  // namespace qiao
