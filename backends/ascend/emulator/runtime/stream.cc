#include "backends/ascend/emulator/runtime/stream.h"

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/event.h"
#include "backends/ascend/emulator/runtime/state.h"

namespace qiao::cann {
namespace {

// Stress: most tasks begin a little late, and some so late that every other stream overtakes them.
// With odd seeds older streams are the slower ones, so that what was launched last tends to run first.
void Delay(std::mt19937_64& random, uint64_t stream) {
  const uint64_t draw = random();
  uint64_t micros = draw % 50;
  if (GetSettings().seed % 2 == 1 && stream < 8) micros += (8 - stream) * 20;
  if ((draw >> 32) % 16 == 0) micros += 1000;
  std::this_thread::sleep_for(std::chrono::microseconds(micros));
}

}  // namespace

Stream::Stream(const std::shared_ptr<Context>& owner, uint32_t stream_priority, uint32_t stream_flags)
    : context(owner), device(owner->device), priority(stream_priority), flags(stream_flags) {
  if (GetSettings().stress()) {
    static std::atomic<uint64_t> streams{0};
    random_.seed(GetSettings().seed * 1000003 + ++streams);
  }
}

Stream::~Stream() { Stop(true); }

std::string Stream::Describe() const {
  return id == 0 ? absl::StrCat("the default stream of device ", device) : absl::StrCat("stream #", id);
}

aclError Stream::Push(std::string_view api, Item item) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    lock.unlock();
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat(std::string(api), ": ", Describe(), " is being destroyed"));
  }
  queue_.push_back(std::move(item));
  ++pushed_;
  if (!worker_.joinable()) worker_ = std::thread([this] { Work(); });
  lock.unlock();
  work_.notify_one();
  return ACL_SUCCESS;
}

void Stream::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return !queue_.empty() || stopping_; });
    if (queue_.empty()) return;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    running_ = &item;
    lock.unlock();
    Run(item);
    lock.lock();
    running_ = nullptr;
    // What the task held goes before anybody learns that it has run.
    lock.unlock();
    item = {};
    lock.lock();
    ++finished_;
    done_.notify_all();
  }
}

void Stream::Run(Item& item) {
  if (item.record != nullptr) {
    Complete(*item.record);
    return;
  }
  if (item.wait != nullptr) {
    Await(*item.wait, -1, &aborting_);
    return;
  }
  if (GetSettings().stress()) {
    Delay(random_, id);
    for (const std::shared_ptr<Block>& block : item.pins) {
      if (!block->freed) continue;
      std::string text = absl::StrCat(item.task.name, " on ", Describe(), " would touch ", block->Describe(),
                                      ", which was freed while it was queued");
      Fault("use-after-free", text);
      SetError(ACL_ERROR_RT_AICORE_EXCEPTION, std::move(text));
      return;
    }
  }
  try {
    item.task.run();
  } catch (const std::exception& e) {
    SetError(ACL_ERROR_RT_AICORE_EXCEPTION,
             absl::StrCat(item.task.name, " on ", Describe(), " failed: ", e.what()));
  } catch (...) {
    SetError(ACL_ERROR_RT_AICORE_EXCEPTION, absl::StrCat(item.task.name, " on ", Describe(), " failed"));
  }
}

void Stream::SetError(aclError code, std::string text) {
  std::lock_guard lock(mutex_);
  if (error_ != ACL_SUCCESS) return;
  error_ = code;
  error_text_ = std::move(text);
}

aclError Stream::Wait(const char* api, int timeout_ms, aclError on_timeout) {
  std::unique_lock lock(mutex_);
  const uint64_t until = pushed_;
  const auto reached = [&] { return finished_ >= until; };
  if (timeout_ms < 0) {
    done_.wait(lock, reached);
  } else if (!done_.wait_for(lock, std::chrono::milliseconds(timeout_ms), reached)) {
    const uint64_t left = until - finished_;
    const Item* first = running_ != nullptr ? running_ : queue_.empty() ? nullptr : &queue_.front();
    const std::string at = first == nullptr ? "" : absl::StrCat("; at ", first->task.name);
    lock.unlock();
    return Fail(on_timeout, absl::StrCat(api, ": ", left, " tasks of ", Describe(), " have not run after ",
                                         timeout_ms, " ms", at));
  }
  const aclError code = error_;
  const std::string text = std::move(error_text_);
  error_ = ACL_SUCCESS;
  error_text_.clear();
  lock.unlock();
  race::OnHostWait(*this);
  return code == ACL_SUCCESS ? code : Fail(code, absl::StrCat(api, ": ", text));
}

bool Stream::Idle() {
  std::lock_guard lock(mutex_);
  return finished_ == pushed_;
}

void Stream::Drop(std::deque<Item> items) {
  for (Item& item : items) {
    if (item.record != nullptr) Complete(*item.record);
  }
}

void Stream::Abort() {
  std::deque<Item> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(queue_);
    aborting_ = true;
  }
  WakeWaiters();
  const size_t count = dropped.size();
  Drop(std::move(dropped));
  std::unique_lock lock(mutex_);
  finished_ += count;
  done_.notify_all();
  done_.wait(lock, [&] { return running_ == nullptr; });
  aborting_ = false;
}

void Stream::Stop(bool drain) {
  if (!drain) Abort();
  std::thread worker;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    worker.swap(worker_);
  }
  work_.notify_all();
  if (worker.joinable()) worker.join();
}

std::string Stream::UserOf(const Block& block) {
  std::lock_guard lock(mutex_);
  const auto holds = [&](const Item& item) {
    return std::any_of(item.pins.begin(), item.pins.end(),
                       [&](const auto& pin) { return pin.get() == &block; });
  };
  if (running_ != nullptr && holds(*running_)) return running_->task.name;
  for (const Item& item : queue_) {
    if (holds(item)) return item.task.name;
  }
  return "";
}

std::shared_ptr<Stream> FindStreamForWork(const char* api, aclrtStream handle, aclError* code) {
  std::shared_ptr<Stream> stream = FindStream(api, handle, code);
  if (stream == nullptr || handle != nullptr) return stream;
  *code = CheckSafe(api, "uses the default stream");
  return *code == ACL_SUCCESS ? stream : nullptr;
}

aclError PinAccesses(const Task& task, Pins* pins, std::string* why) {
  for (const Access& access : task.accesses) {
    std::string where;
    const aclError code = Memory::Get().Find(access.address, access.bytes, pins, &where);
    if (code == ACL_SUCCESS) continue;
    *why = absl::StrCat(task.name, " ", access.write ? "writes " : "reads ",
                        access.name == nullptr ? "" : access.name, " (", access.bytes, " bytes): ", where);
    return code;
  }
  return ACL_SUCCESS;
}

std::vector<std::shared_ptr<Stream>> AllStreams(int device) {
  std::vector<std::shared_ptr<Stream>> all;
  for (std::shared_ptr<Stream>& stream : State().streams.All()) {
    if (device < 0 || stream->device == device) all.push_back(std::move(stream));
  }
  for (const std::shared_ptr<Context>& context : State().contexts.All()) {
    if (device < 0 || context->device == device) all.push_back(context->default_stream);
  }
  return all;
}

void CheckUnused(const char* api, const Block& block) {
  for (const std::shared_ptr<Stream>& stream : AllStreams(-1)) {
    const std::string user = stream->UserOf(block);
    if (user.empty()) continue;
    std::string text =
        absl::StrCat(api, " of ", block.Describe(), " while ", user, " on ", stream->Describe(),
                     " has yet to use it: nothing waits for a stream there");
    if (GetSettings().stress()) {
      Fault("free-while-in-use", std::move(text));
    } else {
      Warn("free-while-in-use", std::move(text));
    }
    return;
  }
}

aclError Enqueue(aclrtStream handle, Task task) {
  aclError code = ACL_SUCCESS;
  const std::string name = task.name;
  std::shared_ptr<Stream> stream = FindStreamForWork(name.c_str(), handle, &code);
  if (stream == nullptr) return code;
  Item item;
  std::string why;
  if ((code = PinAccesses(task, &item.pins, &why)) != ACL_SUCCESS) {
    return Fail(code, absl::StrCat(why, " (on ", stream->Describe(), ")"));
  }
  for (const std::shared_ptr<Block>& block : item.pins) {
    if (block->on_device() && block->device != stream->device && !MayReach(stream->device, block->device)) {
      Warn("peer-not-enabled",
           absl::StrCat(name, " on ", stream->Describe(), ": ", block->Describe(), " is device ",
                        block->device, "'s, and device ", stream->device, " has no peer access to it"));
    }
  }
  switch (CaptureTask(*stream, task, &code)) {
    case Captured::kYes:
      return ACL_SUCCESS;
    case Captured::kFailed:
      return code;
    case Captured::kNo:
      break;
  }
  race::OnTask(*stream, task);
  item.task = std::move(task);
  return stream->Push(name, std::move(item));
}

}  // namespace qiao::cann
