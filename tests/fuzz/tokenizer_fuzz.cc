// Hostile tokenizer.json files, and hostile text for a sound one. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/detokenizer.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

namespace {

using qiao::text::Detokenizer;
using qiao::text::Tokenizer;

// Every byte of the alphabet, a few merges, the words of Llama 3, and added tokens of each kind.
Tokenizer MakeSmall() {
  std::string vocab, merges;
  int id = 0;
  const auto add = [&](std::string_view piece) {
    std::string quoted;
    for (const char c : piece) {
      if (c == '"' || c == '\\') quoted.push_back('\\');
      quoted.push_back(c);
    }
    vocab += (id ? ",\"" : "\"") + quoted + "\":" + std::to_string(id);
    ++id;
  };
  uint32_t spare = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    std::string character;
    qiao::text::AppendUtf8(printable ? b : spare++, &character);
    add(character);
  }
  for (const auto& [left, right] :
       {std::pair("a", "b"), std::pair("ab", "ab"), std::pair("Ġ", "a"), std::pair("Ã", "©")}) {
    add(std::string(left) + right);
    merges += (merges.empty() ? "\"" : ",\"") + std::string(left) + " " + right + "\"";
  }
  const std::string json =
      R"({"added_tokens":[{"id":300,"content":"<s>","special":true,"normalized":false},)"
      R"({"id":301,"content":"<w>","single_word":true},{"id":302,"content":"<abc>"},{"id":303,"content":"<ab"}],)"
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":)"
      R"("(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},)"
      R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},)"
      R"("decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{)" +
      vocab + R"(},"merges":[)" + merges + "]}}";
  absl::StatusOr<Tokenizer> tokenizer = Tokenizer::FromJson(json, "fuzz");
  if (!tokenizer.ok()) std::abort();
  return *std::move(tokenizer);
}

void Check(bool holds) {
  if (!holds) std::abort();
}

std::string Streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Detokenizer detokenizer(&tokenizer, false);
  std::string out;
  for (const int32_t id : ids) {
    out += detokenizer.Push(id);
    Check(qiao::text::IsValidUtf8(out));
  }
  return out + detokenizer.Finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::FromJson(input, "fuzz");
    if (!tokenizer.ok()) return 0;
    const auto ids = tokenizer->Encode("Hello, wörld 12345 汉字 <s> a's\n\n  x\xff", true);
    if (ids.ok()) Check(Streamed(*tokenizer, *ids) == tokenizer->Decode(*ids, false));
    for (int32_t id = -2; id < 300; ++id) (void)tokenizer->TokenBytes(id);
    return 0;
  }
  static const Tokenizer* const small = new Tokenizer(MakeSmall());
  const auto ids = small->Encode(input, false);
  Check(ids.ok());
  Check(small->Decode(*ids, false) == qiao::text::ReplaceInvalidUtf8(input));
  Check(Streamed(*small, *ids) == small->Decode(*ids, false));
  // The input again as ids, so that decoding meets every order of bytes.
  std::vector<int32_t> any;
  for (size_t i = 0; i + 1 < input.size(); i += 2) {
    any.push_back(static_cast<unsigned char>(input[i]) + (input[i + 1] & 1) * 50);
  }
  Check(Streamed(*small, any) == small->Decode(any, false));
  return 0;
}
