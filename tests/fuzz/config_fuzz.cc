// The JSON readers against each other, and what reads config.json, generation_config.json and the weights'
// index.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/json.h"
#include "runtime/base/json_cursor.h"
#include "runtime/formats/generation_config.h"
#include "runtime/formats/model_config.h"
#include "runtime/formats/model_index.h"
#include "tests/fuzz/check.h"

namespace {

using namespace qiao;
using namespace qiao::formats;

void CompareJsonReaders(std::string_view text) {
  std::string buffer(text);
  JsonCursor cursor(absl::MakeSpan(buffer), "fuzz");
  absl::Status skipped = cursor.SkipValue();
  if (skipped.ok()) skipped = cursor.End();

  const absl::StatusOr<Json> json = ParseJson(text, "fuzz");
  const absl::StatusOr<OrderedJson> ordered = ParseOrderedJson(text, "fuzz");
  if (json.ok()) {
    QIAO_FUZZ_CHECK(skipped.ok());
    const absl::StatusOr<Json> again = ParseJson(json->dump(), "fuzz");
    QIAO_FUZZ_CHECK(again.ok() && *again == *json);
    QIAO_FUZZ_CHECK(ordered.ok() || absl::IsResourceExhausted(ordered.status()));
  } else if (skipped.ok() && !absl::IsResourceExhausted(json.status())) {
    // What only the document refuses: equal keys, and numbers beyond a double.
    const std::string_view message = Message(json.status());
    QIAO_FUZZ_CHECK(message.find("duplicate key") != message.npos ||
                    message.find("number overflow") != message.npos);
  }
  if (!json.ok()) QIAO_FUZZ_CHECK(!ordered.ok());
}

void ReadConfig(std::string_view text) {
  const absl::StatusOr<ConfigReader> config = ConfigReader::Parse(text, "fuzz");
  if (!config.ok()) return;
  const absl::StatusOr<Rope> rope = ReadRope(*config);
  if (rope.ok()) {
    QIAO_FUZZ_CHECK(rope->theta >= 1.0 && rope->scaling.factor > 0);
    QIAO_FUZZ_CHECK(rope->scaling.type != RopeType::kYarn ||
                    rope->scaling.original_max_position_embeddings > 0);
  }
  const auto quantization = ReadQuantization(*config);
  if (quantization.ok() && quantization->has_value())
    QIAO_FUZZ_CHECK((*quantization)->weight_block_size[0] >= 0);
  (void)ReadTorchDType(*config);
  const absl::StatusOr<int64_t> hidden = config->GetInt("hidden_size", 1, 1 << 20);
  if (hidden.ok()) QIAO_FUZZ_CHECK(*hidden >= 1 && *hidden <= 1 << 20);
  (void)config->GetDouble("rms_norm_eps", 0, 1);
  (void)config->GetBoolOr("tie_word_embeddings", false);
  (void)config->GetStringList("architectures");
  (void)config->GetOptionalIntList("mlp_only_layers", 0, 1000);
  const absl::StatusOr<std::vector<int64_t>> eos = config->GetIntOrList("eos_token_id", 0, 1000);
  if (eos.ok()) {
    for (const int64_t id : *eos) QIAO_FUZZ_CHECK(id >= 0 && id <= 1000);
  }
  for (const std::string& key : config->UnreadKeys()) QIAO_FUZZ_CHECK(key != "hidden_size");
}

void ReadIndex(std::string_view text) {
  const absl::StatusOr<ModelIndex> index = ParseModelIndex(text, "fuzz");
  if (!index.ok()) return;
  for (const ModelIndex::Entry& entry : index->tensors) QIAO_FUZZ_CHECK(entry.file < index->files.size());
  for (const std::string& file : index->files) {
    QIAO_FUZZ_CHECK(!file.empty() && file != ".." && file.find('/') == std::string::npos &&
                    file.find('\0') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CompareJsonReaders(text);
  ReadConfig(text);
  ReadIndex(text);
  const absl::StatusOr<GenerationConfig> generation = ParseGenerationConfig(text, "fuzz");
  if (generation.ok() && generation->temperature) {
    QIAO_FUZZ_CHECK(*generation->temperature >= 0 && *generation->temperature <= 100);
  }
  return 0;
}
