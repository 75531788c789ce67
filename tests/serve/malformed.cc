#include "tests/serve/malformed.h"

#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "runtime/base/split_mix.h"

namespace qiao::serve {
namespace {

using namespace std::string_literals;

std::string Named(const char* what, int byte) {
  char name[80];
  std::snprintf(name, sizeof name, "%s, byte %02x", what, byte);
  return name;
}

std::string Chunked(const std::string& body) {
  std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  return request.append(body);
}

std::string WithHeaders(const std::string& headers, const std::string& rest = "") {
  std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  return request.append(headers).append("\r\n").append(rest);
}

bool IsTokenByte(int b) {
  return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') ||
         (b > 0 && b < 0x80 &&
          std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(b)) != std::string_view::npos);
}

}  // namespace

std::vector<Malformed> MalformedRequests() {
  std::vector<Malformed> all;
  const auto add = [&all](std::string name, std::string bytes, int status) {
    all.push_back({std::move(name), std::move(bytes), status});
  };

  // Every byte where it may not stand.
  for (int b = 0; b < 256; ++b) {
    const std::string c(1, static_cast<char>(b));
    if (!IsTokenByte(b)) {
      if (b != ' ') add(Named("in the method", b), "GE" + c + "T / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
      if (b != '\r') add(Named("first", b), c + "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
      if (b != ':') add(Named("in a name", b), "GET / HTTP/1.1\r\nHost: x\r\nNa" + c + "me: v\r\n\r\n", 400);
    }
    const bool control = b < 0x20 || b == 0x7F;
    if (control || b >= 0x80)
      add(Named("in the target", b), "GET /a" + c + "b HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    if (control && b != '\t')
      add(Named("in a value", b), "GET / HTTP/1.1\r\nHost: x\r\nName: v" + c + "v\r\n\r\n", 400);
    if (control) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "%%%02x", b);
      add(Named("escaped in the path", b), "GET /a" + std::string(escape) + " HTTP/1.1\r\nHost: x\r\n\r\n",
          400);
      add(Named("in a chunk's size", b), Chunked("1" + c + "\r\na\r\n0\r\n\r\n"), 400);
    }
    if (b != '\r' && b != '\n' && b != '.')
      add(Named("in the version", b), "GET / HTTP/1" + c + "1\r\nHost: x\r\n\r\n", 0);
  }

  // Request lines.
  for (const char* line : {"GET",
                           "GET ",
                           "GET /",
                           "GET / ",
                           "GET  / HTTP/1.1",
                           "GET /  HTTP/1.1",
                           "GET / HTTP/1.1 ",
                           " GET / HTTP/1.1",
                           "GET\t/ HTTP/1.1",
                           "GET / http/1.1",
                           "GET / HTTP/1.1x",
                           "GET / HTTQ/1.1",
                           "GET / HTTP 1.1",
                           "/ GET HTTP/1.1",
                           "GET HTTP/1.1",
                           "GET a HTTP/1.1",
                           "GET * HTTP/1.1",
                           "OPTIONS * HTTP/1.1",
                           "GET ftp://x/ HTTP/1.1",
                           "GET http:///a HTTP/1.1",
                           "GET http://user@x/a HTTP/1.1",
                           "GET /a#b HTTP/1.1",
                           "GET /a b HTTP/1.1",
                           "GET /% HTTP/1.1",
                           "GET /%1 HTTP/1.1",
                           "GET /%zz HTTP/1.1",
                           "GET /%-1 HTTP/1.1",
                           "GET /%00 HTTP/1.1",
                           "GET /%ff HTTP/1.1",
                           "GET /%c0%80 HTTP/1.1",
                           "GET /%ed%a0%80 HTTP/1.1",
                           "GET /a%0d%0aX:y HTTP/1.1",
                           "GET http://a b/ HTTP/1.1",
                           "GET http://\"/ HTTP/1.1",
                           "GET / HTTP/",
                           "GET / HTTP",
                           "GET / XTTP/1.1"}) {
    const bool version =
        std::string_view(line) == "GET / HTTP/1.1x" || std::string_view(line) == "GET / HTTP/1.1 ";
    add(std::string("line: ") + line, std::string(line) + "\r\nHost: x\r\n\r\n", version ? 0 : 400);
  }
  for (const char* version :
       {"HTTP/0.9", "HTTP/1.2", "HTTP/1.10", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/9.9"}) {
    add(version, "GET / " + std::string(version) + "\r\nHost: x\r\n\r\n", 505);
  }
  add("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
  add("HTTP/0.9", "GET /\r\n", 400);
  add("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400);
  add("SSH", "SSH-2.0-OpenSSH_9.2\r\n", 400);
  add("JSON", "{\"model\": \"x\"}\r\n\r\n", 400);
  add("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501);
  add("long method", std::string(33, 'G') + " / HTTP/1.1\r\nHost: x\r\n\r\n", 501);
  add("endless method", std::string(100'000, 'G'), 501);
  add("endless target", "GET /" + std::string(100'000, 'a'), 414);
  add("endless query", "GET /?" + std::string(100'000, 'a'), 414);
  add("endless version", "GET / " + std::string(100'000, 'H'), 431);
  add("empty lines", "\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
  add("bare LF everywhere", "GET / HTTP/1.1\nHost: x\n\n", 400);
  add("bare LF first", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400);
  add("bare LF after a header", "GET / HTTP/1.1\r\nHost: x\n\r\n", 400);
  add("bare CR in the line", "GET / HTTP/1.1\rHost: x\r\n\r\n", 400);
  add("bare CR in a value", WithHeaders("A: b\rC: d\r\n"), 400);
  add("CR CR LF", "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", 400);
  add("CR without LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\rX", 400);

  // Headers.
  add("no host", "GET / HTTP/1.1\r\n\r\n", 400);
  add("two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400);
  add("two hosts, HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400);
  for (const char* host : {"a b", "a/b", "a@b", "a?b", "a\\b", "<x>", "a\"b", "\xC3\xA9"}) {
    add(std::string("host ") + host, "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n", 400);
  }
  for (const char* header : {"A : b", " A: b", "\tA: b", ": b", "A", "A b", "A b: c", "(A): b", "A\": b",
                             "A{: b", "\xC3\xA9: b", "A: b\r\n c", "A: b\r\n\tc", "A:\r\n b", "A=b",
                             "Connection: a b", "Connection: \"", "Connection: a;b"}) {
    add(std::string("header ") + header, WithHeaders(std::string(header).append("\r\n")), 400);
  }
  add("fold before headers", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400);
  std::string many;
  for (int i = 0; i < 101; ++i) many += "A: b\r\n";
  add("101 headers", WithHeaders(many), 431);
  add("64 KiB header", WithHeaders("A: " + std::string(64 << 10, 'a') + "\r\n"), 431);
  add("64 KiB name", WithHeaders(std::string(64 << 10, 'a')), 431);
  add("endless header", "GET / HTTP/1.1\r\nA: " + std::string(200'000, 'a'), 431);
  for (const char* expect : {"200-ok", "100-continue, x", "x", "100"}) {
    add(std::string("expect ") + expect,
        WithHeaders("Expect: " + std::string(expect) + "\r\nContent-Length: 1\r\n", "a"), 417);
  }

  // Framing.
  for (const char* length : {"",
                             "-1",
                             "+1",
                             "1 1",
                             "1,1",
                             "1, 2",
                             "0x1",
                             "1.0",
                             "1e3",
                             "a",
                             "1a",
                             "\"1\"",
                             "--1",
                             " ,",
                             "99999999999999999999",
                             "9223372036854775808",
                             "18446744073709551616",
                             "340282366920938463463374607431768211456",
                             "1;",
                             "\xD9\xA1",
                             "0000000000000000001"}) {
    add(std::string("length ") + length, WithHeaders("Content-Length: " + std::string(length) + "\r\n", "a"),
        400);
  }
  add("two lengths", WithHeaders("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400);
  add("the same length twice", WithHeaders("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), 400);
  add("the same, in capitals", WithHeaders("Content-Length: 1\r\nCONTENT-LENGTH: 1\r\n", "a"), 400);
  for (const char* length : {"33554433", "1000000000000", "999999999999999999"}) {
    add(std::string("length ") + length, WithHeaders("Content-Length: " + std::string(length) + "\r\n"), 413);
  }
  const std::string te = "Transfer-Encoding: ", cl = "Content-Length: 5\r\n", end = "0\r\n\r\n";
  add("length and chunked", WithHeaders(cl + te + "chunked\r\n", end), 400);
  add("chunked and length", WithHeaders(te + "chunked\r\n" + cl, end), 400);
  add("length 0 and chunked", WithHeaders("Content-Length: 0\r\n" + te + "chunked\r\n", end), 400);
  add("length and another coding", WithHeaders(cl + te + "gzip\r\n", end), 400);
  add("length and identity", WithHeaders(te + "identity\r\n" + cl, end), 400);
  add("chunked twice", WithHeaders(te + "chunked\r\n" + te + "chunked\r\n", end), 400);
  add("HTTP/1.0 and chunked", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
  for (const char* coding :
       {"gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked;q=1", "xchunked",
        "chunked x", "\"chunked\"", "chunke", ",chunked", "chunked,", "x\tchunked"}) {
    add(std::string("coding ") + coding, WithHeaders(te + coding + "\r\n", end), 501);
  }

  // Chunks.
  for (const char* body : {"x\r\n",
                           "\r\n",
                           " 1\r\na\r\n",
                           "-1\r\n",
                           "+1\r\na\r\n",
                           "0x1\r\na\r\n",
                           "1 \r\na\r\n",
                           "g\r\n",
                           ";a\r\n",
                           "1\na\r\n",
                           "1\r\nab\r\n",
                           "1\r\na\n",
                           "1\r\na\rx",
                           "1\r\na0\r\n\r\n",
                           "2\r\na\r\n0\r\n\r\n",
                           "1;\x01\r\na\r\n",
                           "1;a\nb\r\na\r\n",
                           "1\rX",
                           "0\r\nX\r\n",
                           "0\r\n\rX",
                           "0\r\nA: b\n\r\n",
                           "0\r\nA b: c\r\n\r\n",
                           "0\r\n A: b\r\n\r\n",
                           "0\r\n: b\r\n\r\n",
                           "0\r\nA: \x01\r\n\r\n",
                           "0\r\nA: b\r\n c\r\n\r\n",
                           "0000000000000000\r\n\r\n"}) {
    add(std::string("chunks ") + body, Chunked(body), 400);
  }
  for (const char* size : {"2000001", "ffffffff", "7fffffffffffff", "fffffffffffffff"}) {
    add(std::string("chunk of ") + size, Chunked(std::string(size) + "\r\n"), 413);
  }
  add("chunk of 2^64 + 1", Chunked("10000000000000001\r\n"), 413);
  add("chunk of 2^64 + 1, with zeros", Chunked("0000000000000001\r\na\r\n"), 400);
  add("many chunks of too much", Chunked("1ffffff\r\n"), 0);
  add("long extension", Chunked("1;" + std::string(300, 'a') + "\r\na\r\n"), 400);
  add("endless extension", Chunked("1;" + std::string(100'000, 'a')), 400);
  add("endless trailer", Chunked("0\r\nA: " + std::string(100'000, 'a')), 431);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 4000; ++i) trailers += "A: bcde\r\n";
  add("many trailers", Chunked(trailers), 431);

  // Bytes from a seed: nothing, or what begins like a request.
  uint64_t state = 6;
  for (int i = 0; i < 300; ++i) {
    std::string noise = i % 3 == 0 ? "" : i % 3 == 1 ? "POST /echo HTTP/1.1\r\nHost: x\r\n" : Chunked("");
    const size_t size = 1 + NextSplitMix64(state) % 200;
    for (size_t k = 0; k < size; ++k) noise.push_back(static_cast<char>(NextSplitMix64(state)));
    add("noise " + std::to_string(i), noise, 0);
  }
  return all;
}

}  // namespace qiao::serve
