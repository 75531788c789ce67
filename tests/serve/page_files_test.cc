// The files of the web page as the program holds them: whole, and fit for a policy that allows nothing inline.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

#include "runtime/serve/page/page.h"

namespace qiao::serve {
namespace {

const PageFile* Find(std::string_view name) {
  for (const PageFile& file : PageFiles()) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// What stands between `open` and the next `close`, for each `open` in the text.
std::set<std::string> Between(std::string_view text, std::string_view open, std::string_view close) {
  std::set<std::string> found;
  for (size_t at = text.find(open); at != std::string_view::npos; at = text.find(open, at)) {
    at += open.size();
    const size_t end = text.find(close, at);
    if (end == std::string_view::npos) break;
    found.emplace(text.substr(at, end - at));
  }
  return found;
}

TEST(PageFiles, AreThoseOfTheSourceTree) {
  ASSERT_GT(PageFiles().size(), 10u);
  std::set<std::string_view> names, etags;
  for (const PageFile& file : PageFiles()) {
    SCOPED_TRACE(file.name);
    std::ifstream in(std::string(QIAO_TEST_DATA "/../runtime/serve/page/") + std::string(file.name),
                     std::ios::binary);
    const std::string source((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    EXPECT_FALSE(source.empty());
    EXPECT_EQ(file.body, source);
    EXPECT_TRUE(names.empty() || *names.rbegin() < file.name) << "not in order";
    names.insert(file.name);
    EXPECT_TRUE(etags.insert(file.etag).second) << "another file has this etag, too";
    EXPECT_TRUE(file.etag.starts_with('"') && file.etag.ends_with('"') && file.etag.size() > 10);
  }
}

TEST(PageFiles, HaveTheirTypes) {
  ASSERT_NE(Find("index.html"), nullptr);
  EXPECT_EQ(Find("index.html")->content_type, "text/html; charset=utf-8");
  ASSERT_NE(Find("app.js"), nullptr);
  EXPECT_EQ(Find("app.js")->content_type, "text/javascript; charset=utf-8");
  ASSERT_NE(Find("style.css"), nullptr);
  EXPECT_EQ(Find("style.css")->content_type, "text/css; charset=utf-8");
  ASSERT_NE(Find("icon.svg"), nullptr);
  EXPECT_EQ(Find("icon.svg")->content_type, "image/svg+xml");
}

TEST(PageFiles, WhatTheyNameIsThere) {
  std::set<std::string> wanted = Between(Find("index.html")->body, "\"page/", "\"");
  EXPECT_GE(wanted.size(), 4u);
  for (const PageFile& file : PageFiles()) {
    if (!file.name.ends_with(".js")) continue;
    for (const std::string& name : Between(file.body, "from './", "'")) wanted.insert(name);
  }
  EXPECT_GT(wanted.size(), 15u);
  for (const std::string& name : wanted) EXPECT_NE(Find(name), nullptr) << name;
}

TEST(PageFiles, HaveNothingInlineAndNothingFromElsewhere) {
  const std::string_view html = Find("index.html")->body;
  EXPECT_FALSE(Contains(html, "<style"));
  EXPECT_FALSE(Contains(html, " style="));
  EXPECT_FALSE(Contains(html, " onclick="));
  EXPECT_FALSE(Contains(html, "<script>"));
  EXPECT_FALSE(Contains(html, "://"));
  for (const PageFile& file : PageFiles()) {
    SCOPED_TRACE(file.name);
    EXPECT_FALSE(Contains(file.body, "@import"));
    EXPECT_FALSE(Contains(file.body, "url("));
    if (!file.name.ends_with(".js")) continue;
    EXPECT_FALSE(Contains(file.body, ".innerHTML"));
    EXPECT_FALSE(Contains(file.body, "insertAdjacentHTML"));
    EXPECT_FALSE(Contains(file.body, "eval("));
  }
}

}  // namespace
}  // namespace qiao::serve
