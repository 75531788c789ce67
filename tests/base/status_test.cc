#include "runtime/base/status.h"

#include <memory>

#include "gtest/gtest.h"

namespace qiao {
namespace {

absl::StatusOr<std::unique_ptr<int>> Half(int v) {
  if (v % 2 != 0) return InvalidArgument("%d: is odd", v);
  return std::make_unique<int>(v / 2);
}

absl::StatusOr<int> Quarter(int v) {
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(v));
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<int> quarter, Half(*half));
  return *quarter;
}

TEST(Status, MacrosPassErrorsOn) {
  ASSERT_TRUE(Quarter(8).ok());
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Message(Quarter(7).status()), "7: is odd");
  EXPECT_EQ(Message(Quarter(6).status()), "3: is odd");
  const auto check = [](int v) -> absl::Status {
    QIAO_RETURN_IF_ERROR(Quarter(v).status());
    return absl::OkStatus();
  };
  EXPECT_TRUE(check(4).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(check(5)));
}

TEST(Status, AnnotateKeepsTheCode) {
  EXPECT_TRUE(Annotate(absl::OkStatus(), "here").ok());
  const absl::Status status = Annotate(NotFound("no %s", "file"), "config.json");
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(Message(status), "config.json: no file");
}

}  // namespace
}  // namespace qiao
