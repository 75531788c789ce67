// Objects of which each thread has its own, and which are there even when destructors of globals call the runtime after
// the thread's own ones have run.
#pragma once

#include <memory>

namespace qiao::cann {

template <class T>
T& ThreadOwn() {
  thread_local T* object = nullptr;  // without a destructor: it may be read at any time
  struct Owner {
    ~Owner() {
      delete object;
      object = nullptr;
    }
  };
  if (object == nullptr) {
    // Once destroyed it is not made again: what a destructor of a global asks for then stays until the process is gone.
    thread_local Owner owner;
    (void)owner;
    object = new T;
  }
  return *object;
}

}  // namespace qiao::cann
