#include "runtime/serve/with_headers.h"

#include <functional>
#include <utility>

namespace qiao::serve {
namespace {

class HeaderAdder : public Responder {
 public:
  HeaderAdder(std::shared_ptr<Responder> responder, HeaderList headers)
      : responder_(std::move(responder)), headers_(std::move(headers)) {}

  void Send(HttpResponse response) override { responder_->Send(Add(std::move(response))); }
  void StartStream(HttpResponse response) override { responder_->StartStream(Add(std::move(response))); }
  bool Write(std::string piece) override { return responder_->Write(std::move(piece)); }
  void EndStream() override { responder_->EndStream(); }
  void OnGone(std::function<void()> gone) override { responder_->OnGone(std::move(gone)); }
  bool gone() const override { return responder_->gone(); }

 private:
  HttpResponse Add(HttpResponse response) const {
    response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
    return response;
  }

  const std::shared_ptr<Responder> responder_;
  const HeaderList headers_;
};

}  // namespace

std::shared_ptr<Responder> WithHeaders(std::shared_ptr<Responder> responder, HeaderList headers) {
  return std::make_shared<HeaderAdder>(std::move(responder), std::move(headers));
}

}  // namespace qiao::serve
