// The plugin behind: found by name, loaded, its table copied.
#pragma once

#include <cstdint>
#include <memory>
#include <qiao/backend.hpp>
#include <string>

namespace qiao::faulty_backend {

class Inner {
 public:
  // NAME or NAME:INDEX: libqiao_backend_NAME.so in the folders of QIAO_BACKEND_PATH, then in that of this
  // plugin; with a slash, a file. NOT_FOUND names every place, FAILED_PRECONDITION says what dlopen or the
  // table said.
  static plugin::Status Load(const std::string& name, std::unique_ptr<Inner>& out);
  ~Inner();
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  // Entries that the plugin lacks are null.
  const qiao_backend& table() const { return table_; }
  std::string name() const { return table_.name ? table_.name : "?"; }
  uint32_t index() const { return index_; }

 private:
  Inner() = default;
  plugin::Status Read(const std::string& path);

  void* library_ = nullptr;
  qiao_backend table_{};
  uint32_t index_ = 0;
};

}  // namespace qiao::faulty_backend
