// Finding, loading and refusing plugins.
#include "runtime/hal/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>

#include "tests/hal/testing.h"

extern "C" const qiao_backend* QiaoBackendInC(void);

namespace qiao::hal {
namespace {

using ::testing::HasSubstr;

TEST(Backend, LoadsByName) {
  ScopedSearchPath path(QIAO_TEST_BACKENDS);
  auto backend = Backend::Load("null");
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->name(), "null");
  EXPECT_EQ((*backend)->path(), Path("null"));
  EXPECT_EQ((*backend)->vendor(), "Qiao");
  EXPECT_FALSE((*backend)->version().empty());
  std::string why = "untouched";
  auto count = (*backend)->DeviceCount(&why);
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(*count, 1u);
  EXPECT_EQ(why, "");
}

TEST(Backend, FirstFolderOfThePathWins) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "qiao_hal_first";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(Path("null"), folder / "libqiao_backend_null.so");
  std::ofstream(folder / "libqiao_backend_.so");          // no name
  std::ofstream(folder / "libqiao_backend_a b.so");       // no name that can be asked for
  std::ofstream(folder / "libqiao_backend_zzz_test.so");  // not even a library; only loading finds out
  ScopedSearchPath path("/nowhere/at/all:" + folder.string() + "::" + QIAO_TEST_BACKENDS);

  EXPECT_EQ(BackendSearchPath()[0], "/nowhere/at/all");
  EXPECT_EQ(BackendSearchPath()[1], folder.string());
  auto backend = Backend::Load("null");
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->path(), (folder / "libqiao_backend_null.so").string());

  int nulls = 0, partials = 0, strange = 0;
  for (const FoundBackend& found : FindBackends()) {
    if (found.name == "null") {
      ++nulls;
      EXPECT_EQ(found.path, (*backend)->path());
    }
    partials += found.name == "partial";
    strange += found.name.empty() || found.name == "a b";
  }
  EXPECT_EQ(nulls, 1);
  EXPECT_EQ(partials, 1);
  EXPECT_EQ(strange, 0);

  auto no_library = Backend::Load("zzz_test");
  EXPECT_EQ(no_library.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(no_library.status())), HasSubstr("libqiao_backend_zzz_test.so"));
}

TEST(Backend, NotFoundListsThePlaces) {
  ScopedSearchPath path("/some/folder:/another");
  auto backend = Backend::Load("no_such_chip");
  ASSERT_EQ(backend.status().code(), absl::StatusCode::kNotFound);
  const std::string message(Message(backend.status()));
  for (const std::string& folder : BackendSearchPath()) {
    EXPECT_THAT(message, HasSubstr(folder + "/libqiao_backend_no_such_chip.so"));
  }
  EXPECT_THAT(message, HasSubstr("/some/folder/"));
  EXPECT_THAT(message, HasSubstr("QIAO_BACKEND_PATH"));

  EXPECT_EQ(Backend::Load("./no_such_file.so").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Backend::Load("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Backend::Load("cpu.so").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Backend, WrongAbiNamesBothVersions) {
  auto backend = Backend::Load(BrokenPath("bad_abi"));
  ASSERT_EQ(backend.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(Message(backend.status()));
  EXPECT_THAT(message, HasSubstr("7.3"));
  EXPECT_THAT(message, HasSubstr(absl::StrFormat("%d.%d", QIAO_ABI_MAJOR, QIAO_ABI_MINOR)));
  EXPECT_THAT(message, HasSubstr("libqiao_backend_bad_abi.so"));
}

TEST(Backend, MissingEntryAndRefusal) {
  auto no_entry = Backend::Load(BrokenPath("no_entry"));
  EXPECT_EQ(no_entry.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(no_entry.status())), HasSubstr("qiao_backend_entry"));
  auto refuses = Backend::Load(BrokenPath("refuses"));
  EXPECT_EQ(refuses.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Backend, ShortTableGetsStubs) {
  auto backend = Backend::Load(BrokenPath("short_table"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  const qiao_backend& t = (*backend)->table();
  qiao_error error{};
  error.struct_size = sizeof(error);
  uint64_t bytes = 0;
  EXPECT_EQ(t.output_bytes(nullptr, nullptr, &bytes, &error), QIAO_UNIMPLEMENTED);
  EXPECT_THAT(error.message, HasSubstr("output_bytes"));
  EXPECT_EQ(error.code, QIAO_UNIMPLEMENTED);
  EXPECT_EQ(t.capture_begin(nullptr, &error), QIAO_UNIMPLEMENTED);
  EXPECT_THAT(error.message, HasSubstr("capture_begin"));
  t.plan_destroy(nullptr);
  t.capture_destroy(nullptr);

  // What the short table holds works; what it lacks has the runtime's default.
  auto device = Device::Open(*backend, 0, {});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_TRUE((*device)->Allocate(100).ok());
  RmsNormCall call(2, 8);
  auto support = (*device)->Supports(call.call);
  ASSERT_TRUE(support.ok());
  EXPECT_FALSE(support->yes);
  EXPECT_THAT(support->why, HasSubstr("support"));
  auto plan = (*device)->Prepare(call.call);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(Message(plan.status())), HasSubstr("prepare"));
  EXPECT_EQ(*(*device)->OutputBytes(call.call), 0u);
}

TEST(Backend, TableOfNullsAnswersEverything) {
  auto backend = Backend::FromTable(QiaoBackendInC());
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->vendor(), "");
  std::string why;
  EXPECT_EQ(*(*backend)->DeviceCount(&why), 0u);
  EXPECT_EQ(why, "written in C, for a test");
  auto device = Device::Open(*backend, 0, {});
  EXPECT_EQ(device.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(device.status())), HasSubstr("written in C, for a test"));

  qiao_backend bare = *QiaoBackendInC();
  bare.device_count = nullptr;
  auto uncounted = Backend::FromTable(&bare);
  ASSERT_TRUE(uncounted.ok());
  EXPECT_EQ((*uncounted)->DeviceCount(nullptr).status().code(), absl::StatusCode::kUnimplemented);
  bare.device_count = [](uint32_t* count, qiao_error*) {
    *count = 1;
    return int32_t{QIAO_OK};
  };
  auto unopenable = Device::Open(*Backend::FromTable(&bare), 0, {});
  EXPECT_EQ(unopenable.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(Message(unopenable.status())), HasSubstr("open"));
}

TEST(Backend, RefusesBrokenTables) {
  EXPECT_FALSE(Backend::FromTable(nullptr).ok());
  qiao_backend table = *QiaoBackendInC();
  table.struct_size = 0;
  EXPECT_FALSE(Backend::FromTable(&table).ok());
  table.struct_size = sizeof(table);
  table.name = nullptr;
  EXPECT_FALSE(Backend::FromTable(&table).ok());
  table.name = "x";
  table.abi_minor = QIAO_ABI_MINOR + 1;
  EXPECT_EQ(Backend::FromTable(&table).ok(), QIAO_ABI_MAJOR > 0);
  // A struct that ends inside an entry does not have that entry.
  table.abi_minor = QIAO_ABI_MINOR;
  table.struct_size = offsetof(qiao_backend, device_count) + 3;
  auto cut = Backend::FromTable(&table);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ((*cut)->DeviceCount(nullptr).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(Backend, CodesBecomeStatuses) {
  qiao_error error{};
  error.struct_size = sizeof(error);
  EXPECT_TRUE(ToStatus(QIAO_OK, error, "x").ok());
  const std::pair<int32_t, absl::StatusCode> codes[] = {
      {QIAO_CANCELLED, absl::StatusCode::kCancelled},
      {QIAO_UNKNOWN, absl::StatusCode::kUnknown},
      {QIAO_INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument},
      {QIAO_NOT_FOUND, absl::StatusCode::kNotFound},
      {QIAO_RESOURCE_EXHAUSTED, absl::StatusCode::kResourceExhausted},
      {QIAO_FAILED_PRECONDITION, absl::StatusCode::kFailedPrecondition},
      {QIAO_UNIMPLEMENTED, absl::StatusCode::kUnimplemented},
      {QIAO_INTERNAL, absl::StatusCode::kInternal},
      {QIAO_UNAVAILABLE, absl::StatusCode::kUnavailable},
      {QIAO_DEVICE_LOST, absl::StatusCode::kUnavailable},
      {4711, absl::StatusCode::kUnknown},
  };
  for (const auto& [code, expected] : codes) EXPECT_EQ(ToStatus(code, error, "x").code(), expected) << code;
  // A message without an end is cut and not followed.
  std::memset(error.message, 'm', sizeof(error.message));
  error.vendor_code = 507011;
  const absl::Status status = ToStatus(4711, error, "launching");
  EXPECT_THAT(std::string(Message(status)), testing::StartsWith("launching: mmm"));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("507011"));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("4711"));
}

}  // namespace
}  // namespace qiao::hal
