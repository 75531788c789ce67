#include "runtime/serve/http/exchange.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace qiao::serve {

// ---- Mailbox ----

void Mailbox::Add(std::shared_ptr<Exchange> exchange) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  waiting_.push_back(std::move(exchange));
  // Under the lock, so that Close leaves nobody in the middle of a wake.
  if (waiting_.size() == 1) wake_();
}

std::vector<std::shared_ptr<Exchange>> Mailbox::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

void Mailbox::Close() {
  std::vector<std::shared_ptr<Exchange>> dropped;
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  dropped.swap(waiting_);
}

// ---- Exchange: handlers ----

void Exchange::Wake(std::unique_lock<std::mutex> lock) {
  const bool first = !std::exchange(woken_, true);
  lock.unlock();
  if (first) mailbox_->Add(shared_from_this());
}

void Exchange::AppendPiece(const std::string& piece) {
  // An empty chunk would be the last one.
  if (piece.empty()) return;
  const size_t before = news_.bytes.size();
  if (framing_ == Framing::kChunked) {
    news_.bytes += absl::StrFormat("%x\r\n", piece.size());
    news_.bytes += piece;
    news_.bytes += "\r\n";
  } else {
    news_.bytes += piece;
  }
  unsent_ += static_cast<int64_t>(news_.bytes.size() - before);
}

void Exchange::Send(HttpResponse response) {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kWaiting || gone_) return;
  phase_ = Phase::kEnded;
  news_.head = std::move(response);
  news_.ended = true;
  Wake(std::move(lock));
}

void Exchange::StartStream(HttpResponse response) {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kWaiting || gone_) return;
  const bool has_body = !no_body_ && !HasNoBody(response.status);
  phase_ = has_body ? Phase::kStream : Phase::kEnded;
  news_.ended = !has_body;
  news_.stream = true;
  const std::string first = std::exchange(response.body, {});
  news_.head = std::move(response);
  if (has_body) AppendPiece(first);
  Wake(std::move(lock));
}

bool Exchange::Write(std::string piece) {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kStream || gone_ || cut_) return false;
  if (unsent_ > unsent_limit_) {
    cut_ = true;
    woken_ = false;  // the network thread may have been told of news that it cannot write yet
    Wake(std::move(lock));
    return false;
  }
  AppendPiece(piece);
  Wake(std::move(lock));
  return true;
}

void Exchange::EndStream() {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kStream || gone_ || cut_) return;
  phase_ = Phase::kEnded;
  if (framing_ == Framing::kChunked) {
    news_.bytes += "0\r\n\r\n";
    unsent_ += 5;
  }
  news_.ended = true;
  Wake(std::move(lock));
}

void Exchange::OnGone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (complete_) return;
    if (!gone_) {
      on_gone_ = std::move(gone);
      return;
    }
  }
  if (gone) gone();
}

bool Exchange::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_ || cut_;
}

void Exchange::Abandon() {
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::kEnded || gone_ || cut_) return;
  if (phase_ == Phase::kWaiting) {
    news_.head = ErrorResponse(500, "internal_error", "the request ended without an answer");
  } else {
    news_.abandoned = true;
  }
  phase_ = Phase::kEnded;
  news_.ended = true;
  Wake(std::move(lock));
}

// ---- Exchange: the network thread ----

Exchange::News Exchange::Take() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  return std::exchange(news_, {});
}

bool Exchange::cut() const {
  const std::lock_guard lock(mutex_);
  return cut_;
}

void Exchange::Written(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
}

void Exchange::Complete() {
  std::function<void()> dropped;
  const std::lock_guard lock(mutex_);
  complete_ = true;
  dropped.swap(on_gone_);
}

void Exchange::Gone() {
  std::function<void()> call;
  News dropped;
  {
    const std::lock_guard lock(mutex_);
    if (complete_ || gone_) return;
    gone_ = true;
    call.swap(on_gone_);
    std::swap(dropped, news_);
  }
  if (call) call();
}

// ---- what handlers hold ----

namespace {

class Handle final : public Responder {
 public:
  explicit Handle(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Handle() override { exchange_->Abandon(); }

  void Send(HttpResponse response) override { exchange_->Send(std::move(response)); }
  void StartStream(HttpResponse response) override { exchange_->StartStream(std::move(response)); }
  bool Write(std::string piece) override { return exchange_->Write(std::move(piece)); }
  void EndStream() override { exchange_->EndStream(); }
  void OnGone(std::function<void()> gone) override { exchange_->OnGone(std::move(gone)); }
  bool gone() const override { return exchange_->gone(); }

 private:
  const std::shared_ptr<Exchange> exchange_;
};

}  // namespace

std::shared_ptr<Responder> MakeResponder(std::shared_ptr<Exchange> exchange) {
  return std::make_shared<Handle>(std::move(exchange));
}

}  // namespace qiao::serve
