// Documents that every JSON reader of Qiao must accept or refuse alike.
#pragma once

#include <string>
#include <vector>

namespace qiao {

inline std::vector<std::string> GoodJson() {
  return {
      "{}",
      "[]",
      " \t\r\n{ \"a\" : [ 1 , -2.5e-3 , true , false , null , \"\" ] } \n",
      "\"\"",
      "0",
      "-0.0",
      "1E+5",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
      "\"\\ud83d\\ude00\"",
      "\"\xf0\x9f\x98\x80\xe4\xbd\xa0\xc3\xa9\"",
      "\"\\u0000\"",
      "{\"a\":{\"a\":{\"a\":1}}}",
      std::string(64, '[') + std::string(64, ']'),
  };
}

inline std::vector<std::string> BadJson() {
  return {
      "",
      " ",
      "{",
      "}",
      "[",
      "[1",
      "[1,]",
      "[,1]",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{a:1}",
      "{'a':1}",
      "{\"a\":1 \"b\":2}",
      "{} {}",
      "{}x",
      "[1]]",
      "nul",
      "True",
      "NaN",
      "Infinity",
      "-",
      "+1",
      "01",
      "-01",
      "1.",
      ".5",
      "1e",
      "1e+",
      "0x10",
      "\"",
      "\"abc",
      "\"\\",
      "\"\\\"",
      "\"\\x41\"",
      "\"\\u\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "\"\\ud83d\"",   // a high surrogate alone
      "\"\\ud83dx\"",  // followed by something else
      "\"\\ud83d\\n\"",
      "\"\\ud83d\\ud83d\"",  // followed by another high one
      "\"\\ude00\"",         // a low surrogate alone
      "\"\n\"",              // raw control characters
      "\"\x01\"",
      "\"\xff\"",      // no UTF-8 at all
      "\"\x80\"",      // a continuation without a start
      "\"\xc3\"",      // cut short
      "\"\xc0\xaf\"",  // overlong
      "\"\xe0\x80\x80\"",
      "\"\xf0\x80\x80\x80\"",
      "\"\xed\xa0\x80\"",      // a surrogate in UTF-8
      "\"\xf4\x90\x80\x80\"",  // above U+10FFFF
      std::string("{}\0", 3),  // a NUL does not end the text
      std::string("{}\0{}", 5),
      std::string("\0{}", 3),
      "\xef\xbb\xbf{}",  // a byte order mark
      "// comment\n{}",
      std::string(65, '[') + std::string(65, ']'),
      std::string(100'000, '['),
      std::string(100'000, '{'),
  };
}

}  // namespace qiao
