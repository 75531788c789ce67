// A short storm over the real server with the shipped model, in each of its kinds. What is a matter of time is told by
// the storm and not decided here; long ones are run by hand (qiao_serve_storm SCENARIO --url URL --pid PID).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/base/json.h"
#include "tests/tools/infer_process.h"

namespace qiao::storm {
namespace {

// infer serve on a port that is free.
class Server {
 public:
  explicit Server(std::vector<std::string> more = {}) {
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) return;
    std::vector<std::string> args = {QIAO_BIN "/infer", "serve", tools::DemoModel(), "--port", "0", "--json",
                                     "--ctx",           "512"};
    args.insert(args.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(out[1]);
    std::string line;
    for (char c; ::read(out[0], &c, 1) == 1 && c != '\n';) line += c;
    ::close(out[0]);
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.contains("url")) url_ = json["url"];
  }
  ~Server() {
    if (pid_ > 0) Stop();
  }
  const std::string& url() const { return url_; }
  pid_t pid() const { return pid_; }
  // Its exit code; 128 + N where signal N ended it.
  int Stop() {
    ::kill(pid_, SIGTERM);
    return Wait();
  }
  int Wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  std::string url_;
};

// Promises that a loaded machine breaks for the server.
const std::set<std::string>& OfTime() {
  static const auto* const names = new std::set<std::string>{"accepted p99",
                                                             "memory of a connection",
                                                             "p99 beside slow ones",
                                                             "goodput",
                                                             "growth of resident memory, second half",
                                                             "its growth with the large ones again",
                                                             "everything is freed after"};
  return *names;
}

void Storm(const Server& server, const std::string& scenario, std::vector<std::string> more) {
  ASSERT_NE(server.url(), "");
  more.insert(more.begin(), {scenario, "--url", server.url(), "--pid", absl::StrCat(server.pid()), "--json"});
  const tools::Finished finished = tools::RunProgram("qiao_serve_storm", more);
  EXPECT_NE(finished.exit, 2) << finished.err;
  const Json json = Json::parse(finished.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << finished.out << finished.err;
  for (const Json& finding : json["findings"]) {
    if (!finding.contains("kept") || OfTime().count(finding["name"]) > 0) continue;
    EXPECT_TRUE(finding["kept"]) << finding << "\n" << json["examples"].dump(1);
  }
}

TEST(ServerStorm, Streams) {
  Server server;
  Storm(server, "streams", {"--clients", "32", "--seconds", "2", "--distinct", "16", "--max-tokens", "16"});
  EXPECT_EQ(server.Stop(), 0);
}

TEST(ServerStorm, IdleSlowAndVanishing) {
  Server server;
  Storm(server, "idle", {"--clients", "300", "--seconds", "0.2"});
  Storm(server, "slow", {"--clients", "60", "--seconds", "1"});
  Storm(server, "vanish", {"--clients", "40"});
  EXPECT_EQ(server.Stop(), 0);
}

TEST(ServerStorm, Overload) {
  Server server({"--queue", "32"});
  Storm(server, "overload", {"--clients", "32", "--seconds", "1", "--max-tokens", "16"});
  EXPECT_EQ(server.Stop(), 0);
}

TEST(ServerStorm, Term) {
  Server server;
  Storm(server, "term", {"--clients", "32"});
  EXPECT_EQ(server.Wait(), 0);
}

// With a second and more for each case under a sanitizer, and many of them large.
TEST(LongServerStorm, Malformed) {
  Server server;
  Storm(server, "malformed", {"--most-seconds", "15"});
  EXPECT_EQ(server.Stop(), 0);
}

}  // namespace
}  // namespace qiao::storm
