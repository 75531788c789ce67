// What is not HTTP, or is two things at once (RFC 9112).
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/serve/load/corpus.h"

namespace qiao::storm {
namespace {

const std::string& Smuggled() {
  static const auto* const request = new std::string("GET /health HTTP/1.1\r\nHost: smuggled\r\n\r\n");
  return *request;
}

class Maker {
 public:
  explicit Maker(const Target& target) : target_(target) {}

  std::vector<Case> cases;

  void Add(std::string name, std::string bytes, Case::Expect expect = Case::kRefused,
           bool half_close = false) {
    cases.push_back({std::move(name), std::move(bytes), expect, false, 1, half_close});
  }
  // A POST with these header lines instead of Content-Length.
  std::string Post(const std::string& lines, const std::string& body) const {
    std::string head = target_.Wire("GET", tools::kCompletionsRoute, "");
    head.replace(0, 3, "POST");
    head.resize(head.size() - 2);
    return absl::StrCat(head, "Content-Type: application/json\r\n", lines, "\r\n", body);
  }
  std::string Get(const std::string& lines = "") const {
    return target_.Wire("GET", tools::kHealthRoute, "", lines);
  }
  // The health request with its first line replaced.
  std::string FirstLine(const std::string& line) const {
    const std::string whole = Get();
    return line + whole.substr(whole.find("\r\n"));
  }

 private:
  const Target& target_;
};

void Framing(Maker& make) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n", body = "2\r\n{}\r\n0\r\n\r\n";
  make.Add("CL+TE", make.Post("Content-Length: 6\r\n" + chunked, "0\r\n\r\n" + Smuggled()));
  make.Add("TE+CL", make.Post(chunked + "Content-Length: 4\r\n", body + Smuggled()));
  make.Add("CL+TE, other case",
           make.Post("content-length: 6\r\ntRANSFER-eNCODING: Chunked\r\n", "0\r\n\r\n" + Smuggled()));
  make.Add("CL 0 and TE", make.Post("Content-Length: 0\r\n" + chunked, body + Smuggled()));
  for (const char* value : {"xchunked", "chunked, identity", "chunked, gzip", "gzip", "identity",
                            "chunked, chunked", "\"chunked\"", "chunked;q=1", "chun ked", "chunked\x0b",
                            "\x0b"
                            "chunked",
                            "chunkedchunked", ",", ""}) {
    make.Add(absl::StrCat("TE: ", value), make.Post(absl::StrCat("Transfer-Encoding: ", value, "\r\n"), body),
             Case::kRefused, true);
    make.Add(absl::StrCat("CL and TE: ", value),
             make.Post(absl::StrCat("Content-Length: 2\r\nTransfer-Encoding: ", value, "\r\n"), "{}"),
             Case::kRefused, true);
  }
  make.Add("TE twice", make.Post(chunked + chunked, body), Case::kRefused, true);
  make.Add("TE twice, other", make.Post(chunked + "Transfer-Encoding: identity\r\n", body), Case::kRefused,
           true);
  make.Add("TE with space before colon", make.Post("Transfer-Encoding : chunked\r\n", body), Case::kRefused,
           true);
  make.Add("TE folded", make.Post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 2\r\n", body),
           Case::kRefused, true);
  for (const char* value :
       {"-1", "+2", "0x2", "2.0", "2 2", "2,3", "2, 3", "2;", "", " ", "two", "1e1", "18446744073709551616",
        "18446744073709551615", "9223372036854775808", "99999999999999999999999999", "2\x0b", "\xd9\xa2"}) {
    make.Add(absl::StrCat("CL: ", value), make.Post(absl::StrCat("Content-Length: ", value, "\r\n"), "{}"),
             Case::kRefused, true);
  }
  make.Add("CL twice", make.Post("Content-Length: 2\r\nContent-Length: 3\r\n", "{} " + Smuggled()),
           Case::kRefused, true);
  make.Add("CL with space before colon", make.Post("Content-Length : 2\r\n", "{}"), Case::kRefused, true);
  // The body is then the next request.
  make.Add("neither CL nor TE, and a body", make.Post("", "{\"prompt\":\"x\"}\r\n\r\n"), Case::kAnything);
}

void Chunks(Maker& make) {
  const auto add = [&](const std::string& name, const std::string& body, bool half_close = true) {
    make.Add("chunk: " + name, make.Post("Transfer-Encoding: chunked\r\n", body), Case::kRefused, half_close);
  };
  for (const char* size :
       {"x", "-1", "+2", "0x2", " 2", "2 2", "", "g", "2g", "ffffffffffffffff", "10000000000000000",
        "ffffffffffffffffffffffff", "7fffffffffffffff", "2\x0b", "\xef\xbc\x92", "2_"}) {
    add(absl::StrCat("size ", size), absl::StrCat(size, "\r\n{}\r\n0\r\n\r\n"));
  }
  add("no CRLF after the data", "2\r\n{}0\r\n\r\n");
  add("data longer than its size", "2\r\n{}{}\r\n0\r\n\r\n");
  add("data shorter than its size", "5\r\n{}\r\n0\r\n\r\n");
  add("LF only", "2\n{}\n0\n\n");
  add("CR only", "2\r{}\r0\r\r");
  add("NUL in the size line", std::string("2\0\r\n{}\r\n0\r\n\r\n", 14));
  add("an extension of 64 KiB", absl::StrCat("2;", std::string(64 << 10, 'x'), "\r\n{}\r\n0\r\n\r\n"));
  add("a trailer of 64 KiB", absl::StrCat("2\r\n{}\r\n0\r\nX: ", std::string(64 << 10, 'x'), "\r\n\r\n"));
  add("a size of 64 KiB zeros", absl::StrCat(std::string(64 << 10, '0'), "2\r\n{}\r\n0\r\n\r\n"));
  add("bad trailer", "2\r\n{}\r\n0\r\nno colon here\r\n\r\n");
  add("100,000 chunks of a byte", Repeat("1\r\n{\r\n", 100'000) + "0\r\n\r\n", false);
  make.Add("chunks that are a proper body",
           make.Post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"));
}

void Lines(Maker& make) {
  for (const char* line : {"GET /health",
                           "GET",
                           "/health HTTP/1.1",
                           "GET  /health HTTP/1.1",
                           "GET /health  HTTP/1.1",
                           " GET /health HTTP/1.1",
                           "GET /health HTTP/1.1 ",
                           "GET\t/health\tHTTP/1.1",
                           "GET /health http/1.1",
                           "GET /health HTTP/11",
                           "GET /health HTTP/1.",
                           "GET /health HTTP/.1",
                           "GET /health HTTP/1.1.1",
                           "GET /health HTTP/-1.1",
                           "GET /health HTTP/0.9",
                           "GET /health HTTP/2.0",
                           "GET /health HTTP/9.9",
                           "GET /health HTTX/1.1",
                           "GET /health ICY/1.1",
                           "GET health HTTP/1.1",
                           "GET ? HTTP/1.1",
                           "GET /a b HTTP/1.1",
                           "G<T /health HTTP/1.1",
                           "GET@ /health HTTP/1.1",
                           "(GET) /health HTTP/1.1",
                           "GET /hea\x7flth HTTP/1.1",
                           "GET /%00 HTTP/1.1",
                           "GET /%zz HTTP/1.1",
                           "GET /% HTTP/1.1",
                           "GET /%f HTTP/1.1",
                           "GET /%c0%af HTTP/1.1",
                           "CONNECT example.com:443 HTTP/1.1",
                           "TRACE /health HTTP/1.1",
                           "DELETE /v1/chat/completions HTTP/1.1",
                           "PATCH /v1/models HTTP/1.1",
                           "get /health HTTP/1.1",
                           "BREW /health HTTP/1.1",
                           "GET /page/../../../../etc/passwd HTTP/1.1",
                           "GET /page/%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
                           "GET /page/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1",
                           "GET //etc/passwd HTTP/1.1",
                           "GET /page//etc/passwd HTTP/1.1",
                           "GET /page/..\\..\\etc\\passwd HTTP/1.1",
                           "GET /.git/config HTTP/1.1",
                           "GET /nowhere HTTP/1.1"}) {
    make.Add(absl::StrCat("line: ", line), make.FirstLine(line));
  }
  for (const char* line : {"GET * HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://localhost/health HTTP/1.1",
                           "GET /health?%zz HTTP/1.1", "GET /health#part HTTP/1.1", "HEAD /health HTTP/1.0",
                           "GET /health HTTP/1.2", "GET /./health HTTP/1.1", "GET /h%65alth HTTP/1.1",
                           "OPTIONS /v1/models HTTP/1.1"}) {
    make.Add(absl::StrCat("line: ", line), make.FirstLine(line), Case::kAnything);
  }
  for (const size_t size : {16u << 10, 64u << 10, 1u << 20}) {
    make.Add(absl::StrCat("URI of ", size, " bytes"),
             make.FirstLine(absl::StrCat("GET /", std::string(size, 'a'), " HTTP/1.1")));
    make.Add(absl::StrCat("query of ", size, " bytes"),
             make.FirstLine(absl::StrCat("GET /health?", std::string(size, 'a'), " HTTP/1.1")));
    make.Add(absl::StrCat("method of ", size, " bytes"),
             make.FirstLine(absl::StrCat(std::string(size, 'A'), " /health HTTP/1.1")));
    make.Add(absl::StrCat("spaces, ", size, " of them"), std::string(size, ' ') + "\r\n\r\n");
    make.Add(absl::StrCat("no line end in ", size, " bytes"), std::string(size, 'A'), Case::kRefused, true);
  }
}

void Headers(Maker& make) {
  const auto add = [&](const std::string& name, const std::string& lines,
                       Case::Expect expect = Case::kRefused) {
    make.Add("header: " + name, make.Get(lines), expect);
  };
  add("a value of 64 KiB", absl::StrCat("X: ", std::string(64 << 10, 'x'), "\r\n"));
  add("a value of 1 MiB", absl::StrCat("X: ", std::string(1 << 20, 'x'), "\r\n"));
  add("a name of 64 KiB", absl::StrCat(std::string(64 << 10, 'x'), ": x\r\n"));
  add("200 of them", Repeat("X: y\r\n", 200));
  add("10,000 of them", Repeat("X: y\r\n", 10'000));
  add("no colon", "Nothing\r\n");
  add("no name", ": x\r\n");
  add("a space before the colon", "X : y\r\n");
  add("a space in the name", "X Y: z\r\n");
  add("a space before the name", " X: y\r\n");
  add("CR alone", "X: a\rb\r\n");
  add("CR in the name", "X\rY: a\r\n");
  for (const int byte : {0x00, 0x01, 0x08, 0x0b, 0x0c, 0x1b, 0x7f})
    add(absl::StrFormat("byte %02x in the value", byte),
        absl::StrCat("X: a", std::string(1, static_cast<char>(byte)), "b\r\n"));
  add("folded", "X: a\r\n b\r\n", Case::kAnything);
  add("bytes above 7f in the value", "X: \xc3\xa4\xff\r\n", Case::kAnything);
  add("empty value", "X:\r\n", Case::kAnything);
  add("Host twice", "Host: other\r\n");
  add("Expect: something else", "Expect: 200-ok\r\n", Case::kAnything);
  add("Connection: nonsense", "Connection: ,,close ,, keep-alive;,\r\n", Case::kAnything);
  add("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
      Case::kAnything);
  add("Upgrade: websocket",
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
      Case::kAnything);
  add("Range", "Range: bytes=0-,-1,5-2\r\n", Case::kAnything);
  add("a second Authorization", "Authorization: Bearer \r\n", Case::kAnything);
  make.Add("header: no Host", "GET /health HTTP/1.1\r\n\r\n");
  make.Add("header: no Host in HTTP/1.0", "GET /health HTTP/1.0\r\n\r\n", Case::kAnything);
}

// A byte that belongs nowhere, in every place of the first line and of a name.
void Bytes(Maker& make) {
  const std::string whole = make.Get("X-Name: value\r\n");
  const size_t name = whole.find("X-Name");
  std::vector<size_t> places = {0, 1, 2, 5, 8, 12, 16, 18};
  for (const size_t at : {0, 1, 3, 5}) places.push_back(name + at);
  for (const size_t at : places) {
    for (const int byte : {0x00, 0x01, 0x0a, 0x0d, 0x1f, 0x7f, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(byte);
      // A line end there may leave another request that is as good as the first.
      const bool line_end = byte == 0x0a || byte == 0x0d;
      make.Add(absl::StrFormat("byte %02x at %d", byte, at), bytes,
               line_end ? Case::kAnything : Case::kRefused, true);
    }
  }
}

void Strangers(Maker& make, uint64_t seed) {
  make.Add(
      "TLS",
      std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 11) + std::string(160, '\x42') + "\r\n\r\n",
      Case::kRefused, true);
  make.Add("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Case::kRefused, true);
  make.Add("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Case::kRefused, true);
  make.Add("SMTP", "EHLO x\r\nMAIL FROM:<a@b>\r\n\r\n", Case::kRefused, true);
  make.Add("only line ends", Repeat("\r\n", 10'000), Case::kAnything, true);
  make.Add("only NULs", std::string(4096, '\0'), Case::kRefused, true);
  make.Add("nothing", "", Case::kAnything, true);
  tools::Random random(seed, 0xbad);
  for (int i = 0; i < 64; ++i) {
    std::string bytes(static_cast<size_t>(1 + random.Below(400)), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Below(256));
    make.Add(absl::StrCat("random bytes ", i), bytes + "\r\n\r\n", Case::kRefused, true);
  }
  // Proper requests that end early.
  const std::string post = make.Post("Content-Length: 100\r\n", "{\"prompt\":\"");
  for (size_t cut = 1; cut < post.size(); cut += 1 + post.size() / 24)
    make.Add(absl::StrCat("cut after ", cut), post.substr(0, cut), Case::kAnything, true);
}

void Proper(Maker& make) {
  const auto ok = [&](const std::string& name, const std::string& bytes, int answers) {
    Case c{name, bytes, Case::kOk, false, answers, false};
    make.cases.push_back(std::move(c));
  };
  ok("one", make.Get(), 1);
  ok("pipelined, 2", Repeat(make.Get(), 2), 2);
  ok("pipelined, 64", Repeat(make.Get(), 64), 64);
  ok("a line end before it", "\r\n" + make.Get(), 1);
  make.Add("pipelined, the second bad", make.Get() + "nonsense\r\n\r\n", Case::kAnything);
  make.Add("Expect: 100-continue and a bad body",
           make.Post("Expect: 100-continue\r\nContent-Length: 2\r\n", "[]"));
  make.Add("a body with GET", make.Get("Content-Length: 5\r\n") + "hello", Case::kAnything);
  make.Add("a body of 50 MB", make.Post("Content-Length: 50000000\r\n", std::string(50'000'000, ' ')));
  make.Add("a body of 50 MB in chunks",
           make.Post("Transfer-Encoding: chunked\r\n",
                     Repeat("10000\r\n" + std::string(65536, ' ') + "\r\n", 763) + "0\r\n\r\n"));
}

}  // namespace

std::vector<Case> HttpCases(const Target& target) {
  Maker make(target);
  Proper(make);
  Framing(make);
  Chunks(make);
  Lines(make);
  Headers(make);
  Bytes(make);
  Strangers(make, target.options().seed);
  return std::move(make.cases);
}

}  // namespace qiao::storm
