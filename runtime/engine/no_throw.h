// Exceptions as statuses: host memory that has ended, and foreign code.
#pragma once

#include <exception>
#include <new>

#include "runtime/base/status.h"

namespace qiao::engine {

// Made before there is need of it: no memory is needed to pass it on.
inline const absl::Status& OutOfHostMemory() {
  static const absl::Status* const status = new absl::Status(ResourceExhausted("no host memory left"));
  return *status;
}

// What `body` returns, an absl::Status or anything made of one, or what it throws.
template <typename F>
auto NoThrow(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return OutOfHostMemory();
  } catch (const std::exception& e) {
    return Internal("an exception: %s", e.what());
  } catch (...) {
    return Internal("an exception of unknown type");
  }
}

}  // namespace qiao::engine
