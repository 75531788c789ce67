// Requests that a server must survive, made from a seed: raw bytes, and what may be answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/serve/load/target.h"

namespace qiao::storm {

struct Case {
  enum Expect {
    kRefused,   // a status of 4xx, 501 or 505, or the connection is closed; and only one answer
    kAnything,  // any status below 500, 501, 505, or closed: what is lenient about is the server's choice
    kOk,        // `answers` answers of status 200
  };
  std::string name, bytes;
  Expect expect = kRefused;
  bool json = false;        // well-formed HTTP around a bad body: a 400 within 100 ms is told apart
  int answers = 1;          // kOk
  bool half_close = false;  // nothing more will come
};

inline std::string Repeat(std::string_view part, size_t times) {
  std::string all;
  all.reserve(part.size() * times);
  for (size_t i = 0; i < times; ++i) all += part;
  return all;
}

// `context`: of the model, 0 where it is not known.
std::vector<Case> HttpCases(const Target& target);
std::vector<Case> JsonCases(const Target& target, int64_t context);

}  // namespace qiao::storm
