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
    thread_local Owner
        owner;  // made anew after it was destroyed, it would not be; the object is then the process's last
    (void)owner;
    object = new T;
  }
  return *object;
}

}  // namespace qiao::cann
