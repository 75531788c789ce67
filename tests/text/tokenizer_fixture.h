// The golden tokenizers and their lines, as the tests of this folder load them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/text/tokenizer.h"

namespace qiao::text {

// A file below the tests' folder; one that ends in .xz is decompressed with the program xz. A file that
// cannot be read fails the test and is returned empty.
std::string TestFile(const std::string& path);

std::vector<Json> JsonLines(const std::string& path);

// The tokenizer of golden/tokenizers/STYLE, loaded once a process. If it does not load, the process ends with
// the reason: every test that asks for it would be void.
const Tokenizer& GoldenTokenizer(const std::string& style);

}  // namespace qiao::text
