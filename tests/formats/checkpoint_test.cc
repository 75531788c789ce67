#include "runtime/formats/checkpoint.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/base/temp_folder.h"
#include "tests/formats/safetensors_bytes.h"

namespace qiao::formats {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file with one U8 tensor of one element under each name.
std::string Shard(const std::vector<std::string>& names) {
  std::string header = "{";
  size_t at = 0;
  for (const std::string& name : names) {
    absl::StrAppend(&header, at > 0 ? "," : "", "\"", name, R"(":{"dtype":"U8","shape":[1],"data_offsets":[)",
                    at, ",", at + 1, "]}");
    ++at;
  }
  return SafetensorsBytes(header + "}", at);
}

std::string Index(const std::vector<std::pair<std::string, std::string>>& map) {
  std::string text = R"({"weight_map":{)";
  for (const auto& [tensor, file] : map) {
    absl::StrAppend(&text, text.back() == '{' ? "" : ",", "\"", tensor, "\":\"", file, "\"");
  }
  return text + "}}";
}

std::vector<std::string> Names(absl::Span<const Checkpoint::Entry> entries) {
  std::vector<std::string> names;
  for (const Checkpoint::Entry& entry : entries) names.emplace_back(entry.tensor->name);
  return names;
}

TEST(Checkpoint, ASingleFile) {
  const TempFolder folder;
  folder.Write("model.safetensors", Shard({"b", "a"}));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(Names(checkpoint->tensors()), ElementsAre("b", "a"));
  EXPECT_EQ(checkpoint->Find("a")->data[0], std::byte{1});
  EXPECT_EQ(checkpoint->Find("c"), nullptr);
  EXPECT_EQ(checkpoint->data_bytes(), 2u);
  EXPECT_EQ(checkpoint->files()[0].path(), folder / "model.safetensors");
}

TEST(Checkpoint, ShardsByTheIndex) {
  const TempFolder folder;
  folder.Write("m-1.safetensors", Shard({"a", "b", "spare"}));
  folder.Write("m-2.safetensors", Shard({"c", "a"}));
  folder.Write("m-3.safetensors", "not named by the index");
  folder.Write("model.safetensors.index.json",
               Index({{"c", "m-2.safetensors"}, {"b", "m-1.safetensors"}, {"a", "m-1.safetensors"}}));
  std::vector<std::pair<uint64_t, uint64_t>> reports;
  absl::StatusOr<Checkpoint> opened =
      Checkpoint::Open(folder.path(), [&](std::string_view, uint64_t done, uint64_t total) {
        reports.emplace_back(done, total);
        return true;
      });
  ASSERT_TRUE(opened.ok()) << opened.status();
  const TensorView* c = opened->Find("c");
  const Checkpoint checkpoint = *std::move(opened);
  EXPECT_THAT(Names(checkpoint.tensors()), ElementsAre("a", "b", "c"));
  EXPECT_EQ(checkpoint.Find("c"), c);
  EXPECT_EQ(checkpoint.FindEntry("c")->file, 1u);
  // "a" lies in both files; the index says which one counts.
  EXPECT_EQ(checkpoint.FindEntry("a")->file, 0u);
  EXPECT_THAT(Names(checkpoint.unindexed()), ElementsAre("spare", "a"));
  EXPECT_EQ(checkpoint.Find("spare"), nullptr);
  EXPECT_THAT(reports, ElementsAre(std::pair(0u, 2u), std::pair(1u, 2u), std::pair(2u, 2u)));

  const absl::Status cancelled =
      Checkpoint::Open(folder.path(), [](std::string_view, uint64_t done, uint64_t) {
        return done == 0;
      }).status();
  EXPECT_TRUE(absl::IsCancelled(cancelled));
}

TEST(Checkpoint, AnIndexThatPromisesTooMuch) {
  const TempFolder folder;
  folder.Write("m-1.safetensors", Shard({"a"}));
  folder.Write("m-2.safetensors", Shard({"b"}));
  const auto error = [&](const std::string& index) {
    folder.Write("model.safetensors.index.json", index);
    return Checkpoint::Open(folder.path()).status();
  };
  EXPECT_TRUE(error(Index({{"a", "m-1.safetensors"}, {"b", "m-2.safetensors"}})).ok());
  const absl::Status missing = error(Index({{"a", "m-1.safetensors"}, {"c", "m-1.safetensors"}}));
  EXPECT_TRUE(absl::IsInvalidArgument(missing));
  EXPECT_THAT(std::string(Message(missing)), HasSubstr("tensor \"c\": is not in m-1.safetensors"));
  const absl::Status elsewhere = error(Index({{"a", "m-1.safetensors"}, {"b", "m-1.safetensors"}}));
  EXPECT_TRUE(absl::IsInvalidArgument(elsewhere));
  const absl::Status file = error(Index({{"a", "m-1.safetensors"}, {"c", "m-3.safetensors"}}));
  EXPECT_TRUE(absl::IsNotFound(file));
  EXPECT_THAT(std::string(Message(file)), HasSubstr("m-3.safetensors: is missing"));
  folder.Write("m-3.safetensors", "junk");
  EXPECT_TRUE(absl::IsInvalidArgument(error(Index({{"c", "m-3.safetensors"}}))));
  EXPECT_TRUE(absl::IsInvalidArgument(error("{")));
}

TEST(Checkpoint, AFolderWithoutWeights) {
  const TempFolder folder;
  const absl::Status status = Checkpoint::Open(folder.path()).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("holds neither model.safetensors nor"));
  EXPECT_TRUE(absl::IsNotFound(Checkpoint::Open(folder / "missing").status()));
}

TEST(Checkpoint, FileNamesDoNotLeaveTheFolder) {
  const TempFolder outer;
  outer.Write("secret.safetensors", Shard({"a"}));
  outer.Write("model/here.safetensors", Shard({"b"}));
  outer.Write("model/sub/there.safetensors", Shard({"a"}));
  for (const std::string& name :
       {std::string("../secret.safetensors"), outer / "secret.safetensors",
        std::string("sub/there.safetensors"), std::string("sub/../here.safetensors")}) {
    outer.Write("model/model.safetensors.index.json", Index({{"a", name}}));
    const absl::Status status = Checkpoint::Open(outer / "model").status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << ": " << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("plain name"));
  }
}

TEST(Checkpoint, LinksDoNotLeaveTheFolder) {
  const TempFolder outer;
  outer.Write("secret.safetensors", Shard({"a"}));
  outer.Write("model-secret/x.safetensors", Shard({"a"}));
  const std::string link = outer.Write("model/link.safetensors", "");
  outer.Write("model/model.safetensors.index.json", Index({{"a", "link.safetensors"}}));
  const auto open_with_link_to = [&](const fs::path& target) {
    fs::remove(link);
    fs::create_symlink(target, link);
    return Checkpoint::Open(outer / "model").status();
  };
  EXPECT_TRUE(absl::IsPermissionDenied(open_with_link_to("../secret.safetensors")));
  EXPECT_TRUE(absl::IsPermissionDenied(open_with_link_to(outer / "secret.safetensors")));
  // A folder whose name only begins like the model's.
  EXPECT_TRUE(absl::IsPermissionDenied(open_with_link_to("../model-secret/x.safetensors")));
  EXPECT_TRUE(absl::IsNotFound(open_with_link_to("link.safetensors")) ||
              !open_with_link_to("link.safetensors").ok());  // a loop
  EXPECT_TRUE(absl::IsNotFound(open_with_link_to("nowhere.safetensors")));
  // Inside the folder a link is fine, and so is a folder that is itself reached through a link.
  outer.Write("model/blobs/real", Shard({"a"}));
  EXPECT_TRUE(open_with_link_to("blobs/real").ok());
  fs::create_directory_symlink("model", outer / "alias");
  EXPECT_TRUE(Checkpoint::Open(outer / "alias").ok());
  // A single file and the index itself are held to the same.
  fs::remove(outer / "model/model.safetensors.index.json");
  outer.Write("index.json", Index({{"a", "link.safetensors"}}));
  fs::create_symlink("../index.json", outer / "model/model.safetensors.index.json");
  EXPECT_TRUE(absl::IsPermissionDenied(Checkpoint::Open(outer / "model").status()));
  fs::create_symlink("../secret.safetensors", outer / "model/model.safetensors");
  EXPECT_TRUE(absl::IsPermissionDenied(Checkpoint::Open(outer / "model").status()));
}

TEST(Checkpoint, TheHuggingFaceCache) {
  const TempFolder hub;
  const std::string model = "models--org--name";
  hub.Write(model + "/blobs/aaaa", Shard({"a"}));
  hub.Write(model + "/blobs/bbbb", Index({{"a", "m-1.safetensors"}}));
  hub.Write("models--other--name/blobs/cccc", Shard({"a"}));
  const fs::path snapshot = hub / (model + "/snapshots/0123456789");
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/bbbb", snapshot / "model.safetensors.index.json");
  fs::create_symlink("../../blobs/aaaa", snapshot / "m-1.safetensors");
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(snapshot);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_NE(checkpoint->Find("a"), nullptr);
  // Errors name the file as the snapshot does, not the blob.
  EXPECT_EQ(checkpoint->files()[0].path(), (snapshot / "m-1.safetensors").string());

  fs::remove(snapshot / "m-1.safetensors");
  fs::create_symlink("../../../models--other--name/blobs/cccc", snapshot / "m-1.safetensors");
  EXPECT_TRUE(absl::IsPermissionDenied(Checkpoint::Open(snapshot).status()));
}

TEST(Checkpoint, AFolderNamedSnapshotsAloneOpensNothing) {
  const TempFolder outer;
  outer.Write("other/blobs/aaaa", Shard({"a"}));
  const fs::path snapshot = outer / "other/snapshots/1";
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/aaaa", snapshot / "model.safetensors");
  EXPECT_TRUE(absl::IsPermissionDenied(Checkpoint::Open(snapshot).status()));
}

// As large as a full DeepSeek-V3 by its counts, on a disk that holds only headers.
TEST(Checkpoint, OpensSparseGiantsWithoutReadingThem) {
  const TempFolder folder;
  constexpr int kFiles = 40, kTensors = 500;
  std::vector<std::pair<std::string, std::string>> map;
  for (int f = 0; f < kFiles; ++f) {
    const std::string name = absl::StrCat("model-", f, ".safetensors");
    std::vector<TensorToWrite> tensors;
    for (int t = 0; t < kTensors; ++t) {
      tensors.push_back({absl::StrCat("model.layers.", f, ".mlp.experts.", t, ".down_proj.weight"),
                         "F8_E4M3",
                         {7168, 2048}});
      map.emplace_back(tensors.back().name, name);
    }
    absl::StatusOr<SafetensorsWriter> writer = SafetensorsWriter::Create(folder / name, tensors);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->WriteHole(uint64_t{kTensors} * 7168 * 2048).ok());
    ASSERT_TRUE(writer->Commit().ok());
  }
  folder.Write("model.safetensors.index.json", Index(map));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->tensors().size(), static_cast<size_t>(kFiles * kTensors));
  EXPECT_EQ(checkpoint->data_bytes(), uint64_t{kFiles} * kTensors * 7168 * 2048);
}

}  // namespace
}  // namespace qiao::formats
