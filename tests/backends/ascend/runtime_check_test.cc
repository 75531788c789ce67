// The three levels of checking, seen from outside: client programs (client/client.cc) with and without mistakes, each in a
// process of its own.
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <string>

namespace qiao::cann {
namespace {

struct Outcome {
  int status = -1;
  std::string out;  // and err
  bool Has(const std::string& words) const { return out.find(words) != std::string::npos; }
};

Outcome RunClient(const std::string& environment, const std::string& program) {
  Outcome run;
  const std::string command =
      "env -u QIAO_CANN_CHECK -u QIAO_CANN_SOC -u QIAO_CANN_SEED -u QIAO_CANN_REPORT " + environment +
      " '" QIAO_CANN_CLIENT "' " + program + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return run;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) run.out.append(buffer, n);
  const int status = pclose(pipe);
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return run;
}

Outcome Stress(const std::string& program) { return RunClient("QIAO_CANN_CHECK=stress", program); }

#define EXPECT_HAS(run, words) EXPECT_TRUE((run).Has(words)) << "no \"" << (words) << "\" in:\n" << (run).out
#define EXPECT_HAS_NOT(run, words) \
  EXPECT_FALSE((run).Has(words)) << "\"" << (words) << "\" in:\n" << (run).out

TEST(CannCheck, ACleanProgramIsClean) {
  for (const char* seed : {"1", "2", "3"}) {
    const Outcome run =
        RunClient(std::string("QIAO_CANN_CHECK=stress QIAO_CANN_REPORT=1 QIAO_CANN_SEED=") + seed, "clean");
    EXPECT_EQ(run.status, 0);
    EXPECT_HAS(run, "byte 1\n");
    EXPECT_HAS(run, "report: 0 failed calls, 0 warnings, 0 faults");
    EXPECT_HAS_NOT(run, "still alive");
  }
  const Outcome quiet = RunClient("QIAO_CANN_CHECK=warn", "clean");
  EXPECT_HAS_NOT(quiet, "(emulated)");
}

TEST(CannCheck, ProfilesAreChosenByName) {
  EXPECT_HAS(RunClient("", "profile"), "soc Ascend910B4 devices 1 fp8 0 exact 0 workspace 0");
  EXPECT_HAS(RunClient("QIAO_CANN_SOC=Ascend950 QIAO_CANN_DEVICES=4 QIAO_CANN_EXACT=1", "profile"),
             "soc Ascend950 devices 4 fp8 1 exact 1");
  for (const char* soc : {"Ascend910B1", "Ascend910B2", "Ascend910B3", "Ascend910_9392"}) {
    EXPECT_HAS(RunClient(std::string("QIAO_CANN_SOC=") + soc, "profile"),
               std::string("soc ") + soc + " devices 1 fp8 0");
  }
  const Outcome unknown = RunClient("QIAO_CANN_SOC=Ascend1", "profile");
  EXPECT_HAS(unknown, "aclrtGetDeviceCount(&count): 207004");
  EXPECT_HAS(unknown, "Ascend1.json, so there is no device");
  EXPECT_HAS(RunClient("QIAO_CANN_CHECK=strict", "profile"), "none of fail, warn, stress");
  EXPECT_HAS(Stress("profile"), "workspace 1");
}

TEST(CannCheck, TheLastUseEndsTheDefaultContext) {
  const Outcome run = RunClient("QIAO_CANN_CHECK=warn", "last-use");
  EXPECT_HAS(
      run,
      "first\naclrtResetDevice(0): 0\naclrtGetDevice(&device): 0\nlast\naclrtResetDevice(0): 0\nran 1\n");
  EXPECT_HAS(run,
             "aclrtGetDevice(&device): 107002 (emulated) 107002: aclrtGetDevice: this thread has no current "
             "context: its "
             "device was reset\n");
  EXPECT_HAS(run, "aclrtSetCurrentContext: context #1, which was destroyed\naclrtResetDevice(0): 0\n");
  EXPECT_HAS(run, "warning context-with-streams: aclrtResetDevice: 1 streams");
  EXPECT_HAS(run, "warning reset-with-memory: aclrtResetDevice: 4128 bytes of device 0");
  EXPECT_HAS(run, "warning reset-without-set: ");
  EXPECT_HAS(run, "again\naclrtSetDevice(0): 0\n");
  EXPECT_HAS(run, "aclrtSynchronizeStream: stream #1, which was destroyed\naclrtFree(memory): 0\n");
}

TEST(CannCheck, DevicesAreApart) {
  const Outcome run = RunClient("QIAO_CANN_DEVICES=2", "two-devices");
  EXPECT_HAS(run, "aclrtSetDevice(1): 0");
  EXPECT_HAS(run,
             "aclrtSynchronizeStream(s.one): 107003 (emulated) 107003: aclrtSynchronizeStream: stream #1 of "
             "device 0");
  EXPECT_HAS(run, "can 1\n");
  EXPECT_HAS(run, "warning peer-not-enabled: aclrtMemcpy: device memory #1 ");
  EXPECT_HAS(run, "  warning peer-not-enabled: 1");
  EXPECT_HAS(run, "used 4128\n");
}

TEST(CannCheck, RacesAreNamedOnBothSides) {
  Outcome run = Stress("missing-synchronisation");
  EXPECT_HAS(
      run,
      "(emulated) fault race: Matmul on stream #1 writes out and aclrtMemcpy reads src in device memory #1");
  EXPECT_HAS(run, "report: 0 failed calls, 0 warnings, 1 faults");
  EXPECT_HAS(Stress("missing-event"),
             "race: Matmul on stream #1 writes out and Softmax on stream #2 reads x in");
  EXPECT_HAS(Stress("stale-event"),
             "race: Matmul on stream #1 writes out and Add on stream #2 writes out in");
  EXPECT_HAS(Stress("default-stream"),
             "race: TransMatmulWeight on the default stream of device 0 writes out and Matmul on stream #1 "
             "reads x in");
  EXPECT_HAS(Stress("replay-race"),
             "race: Step of graph #1 on stream #1 writes out and aclrtMemcpy reads src in");
  EXPECT_HAS(Stress("graph-race"),
             "race: node 0 of graph #1, where Left writes out, and node 1, where Right writes out, in 0x");
  EXPECT_HAS(Stress("pinned-reuse"),
             "race: aclrtMemcpyAsync on stream #1 reads src and aclrtMemcpyAsync on stream #2 writes dst in "
             "pinned host");
  EXPECT_HAS(Stress("free-by-luck"),
             "race: Matmul on stream #1 writes out and aclrtFree frees it in device memory #1");
  // Only stress looks.
  EXPECT_HAS_NOT(RunClient("QIAO_CANN_CHECK=warn", "missing-event"), "race");
}

TEST(CannCheck, FreedMemoryIsPoisonedUnderStress) {
  Outcome run = Stress("free-without-synchronisation");
  EXPECT_HAS(run, "fault free-while-in-use: aclrtFree of device memory #1 ");
  EXPECT_HAS(run, "while Matmul on stream #1 has yet to use it");
  EXPECT_HAS(run, "aclrtSynchronizeStream(s.one): 507015");
  EXPECT_HAS(run, "Matmul on stream #1 would touch device memory #1 ");
  run = RunClient("QIAO_CANN_CHECK=warn", "free-without-synchronisation");
  EXPECT_HAS(run, "warning free-while-in-use: aclrtFree of device memory #1 ");
  EXPECT_HAS(run, "aclrtSynchronizeStream(s.one): 0\n") << "served";
  run = RunClient("QIAO_CANN_CHECK=fail", "free-without-synchronisation");
  EXPECT_HAS_NOT(run, "(emulated)");
}

TEST(CannCheck, ArgumentsAreNamed) {
  const Outcome run = RunClient("QIAO_CANN_CHECK=fail", "host-pointer");
  EXPECT_HAS(run, "107000 (emulated) 107000: Matmul reads x (4096 bytes): 0x");
  EXPECT_HAS(run, "an address of pageable host memory (on stream #1)");
  const Outcome overrun = RunClient("QIAO_CANN_CHECK=warn", "overrun");
  EXPECT_HAS(overrun, "warning overrun: 4129 bytes at 0x");
  EXPECT_HAS(overrun, "33 bytes past its end");
  EXPECT_HAS(Stress("overrun"),
             "107000 (emulated) 107000: MaxPool writes out (4129 bytes): 4129 bytes at 0x");
}

TEST(CannCheck, LeaksAreReported) {
  EXPECT_HAS(RunClient("QIAO_CANN_REPORT=1", "leak"),
             "still alive: 2 device allocations (8192 bytes), 2 streams, 2 events");
  EXPECT_HAS_NOT(RunClient("QIAO_CANN_REPORT=0 QIAO_CANN_CHECK=stress", "missing-event"), "report");
}

TEST(CannCheck, AProcessMayEndWhileStreamsAreFull) {
  const Outcome run = RunClient("QIAO_CANN_CHECK=warn", "end-busy");
  EXPECT_EQ(run.status, 0) << run.out;
  EXPECT_HAS(run, "ends\n");
}

TEST(CannCheck, GlobalsMayCallTheRuntimeAtExit) {
  const Outcome run = RunClient("QIAO_CANN_CHECK=warn", "calls-at-exit");
  EXPECT_EQ(run.status, 0) << run.out;
  EXPECT_HAS(
      run,
      "aclrtSynchronizeStream(stream): 107002 (emulated) 107002: aclrtSynchronizeStream: this thread has no");
}

TEST(CannCheck, StressReplaysInAnyLegalOrder) {
  const Outcome run = Stress("orders");
  EXPECT_HAS(run, "ab.");
  EXPECT_HAS(run, "ba.");
  EXPECT_HAS_NOT(run, "..");
  EXPECT_HAS_NOT(RunClient("QIAO_CANN_CHECK=warn", "orders"), "ba.");
}

}  // namespace
}  // namespace qiao::cann
