// Exceptions as statuses: host memory that has ended, and foreign code.
#pragma once

#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

#include "runtime/base/status.h"

namespace qiao::engine {

// Made before there is need of it: no memory is needed to pass it on.
inline const absl::Status& OutOfHostMemory() {
  static const absl::Status* const status = new absl::Status(ResourceExhausted("no host memory left"));
  return *status;
}

// The exception that is being handled; `before` is put before what it says. Only in a catch block.
inline absl::Status CaughtStatus(std::string_view before = "") {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return OutOfHostMemory();
  } catch (const std::exception& e) {
    return Internal("%s%s", before, e.what());
  } catch (...) {
    return Internal("an exception of unknown type");
  }
}

// What `body` returns (an absl::Status or anything made of one; OK of one that returns nothing), or what it
// throws.
template <typename F>
auto NoThrow(F&& body) {
  using Returned = decltype(body());
  using Result = std::conditional_t<std::is_void_v<Returned>, absl::Status, Returned>;
  try {
    if constexpr (std::is_void_v<Returned>) {
      body();
      return Result(absl::OkStatus());
    } else {
      return Result(body());
    }
  } catch (...) {
    return Result(CaughtStatus("an exception: "));
  }
}

}  // namespace qiao::engine
