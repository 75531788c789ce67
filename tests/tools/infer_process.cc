#include "tests/tools/infer_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace qiao::tools {
namespace {

constexpr char kInfer[] = "infer";

// Reads both pipes until they close. With `signal_at_output`, sends SIGINT once at the first byte of stdout.
void Collect(pid_t child, int out, int err, bool signal_at_output, Finished& finished) {
  pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  std::string* texts[2] = {&finished.out, &finished.err};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (::poll(fds, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t n = ::read(fds[i].fd, buffer, sizeof buffer);
      if (n <= 0) {
        fds[i].fd = -1;
        continue;
      }
      texts[i]->append(buffer, static_cast<size_t>(n));
      if (i == 0 && signal_at_output) {
        ::kill(child, SIGINT);
        signal_at_output = false;
      }
    }
  }
}

Finished Spawn(const std::string& program, const std::vector<std::string>& args, const std::string& input,
               const std::vector<std::string>& environment, bool interrupt) {
  const std::string stdin_path = Scratch() + ".stdin";
  WriteText(stdin_path, input);
  int out[2], err[2];
  Finished finished;
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return finished;
  std::vector<std::string> all = {std::string(QIAO_BIN "/") + program};
  all.insert(all.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& arg : all) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int in = ::open(stdin_path.c_str(), O_RDONLY);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    for (const std::string& variable : environment) ::putenv(const_cast<char*>(variable.c_str()));
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  Collect(child, out[0], err[0], interrupt, finished);
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  finished.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::filesystem::remove(stdin_path);
  return finished;
}

}  // namespace

Finished Infer(const std::vector<std::string>& args, const std::string& input,
               const std::vector<std::string>& environment) {
  return Spawn(kInfer, args, input, environment, false);
}

Finished RunProgram(const std::string& name, const std::vector<std::string>& args) {
  return Spawn(name, args, "", {}, false);
}

Finished InferInterrupted(const std::vector<std::string>& args) { return Spawn(kInfer, args, "", {}, true); }

std::string Scratch() {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string path = testing::TempDir() + "/qiao_" + std::to_string(::getpid()) + "_" +
                           test->test_suite_name() + "_" + test->name();
  static std::string made;
  if (made != path) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    made = path;
    // Gone when the test is over, whatever it left there.
    static struct Remover : testing::EmptyTestEventListener{void OnTestEnd(const testing::TestInfo&)
                                                                override{std::error_code ignored;
    std::filesystem::remove_all(made, ignored);
  }
}
*const remover = [] {
  auto* listener = new Remover;  // belongs to gtest
  testing::UnitTest::GetInstance()->listeners().Append(listener);
  return listener;
}();
(void)remover;
}  // namespace qiao::tools
return path;
}

std::string DemoModel() { return QIAO_MODELS "/demo"; }
std::string Golden(const std::string& name) { return std::string(QIAO_TEST_DATA "/golden/") + name; }

void WriteText(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace qiao::tools
