// A server with a few routes for tests of the transport.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/serve/http/server.h"
#include "tests/serve/http_client.h"

namespace qiao::serve {

// GET /hello, /big (a MiB), /echo (any method: method, path, query and body), /silent (drops the Responder), /throw,
// /stream (three pieces), /cut (a stream that is dropped), /hold and /hold-stream (the Responder is kept in `held`).
class HttpTest : public testing::Test {
 protected:
  struct Held {
    std::shared_ptr<const HttpRequest> request;
    std::shared_ptr<Responder> responder;
  };

  void Start(HttpOptions options = {}) {
    auto started = HttpServer::Start(std::move(options), [this](auto request, auto responder) {
      Handle(std::move(request), std::move(responder));
    });
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  void TearDown() override {
    Release();
    server_.reset();
  }

  void Handle(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Responder> responder) {
    ++handled_;
    const std::string& path = request->path;
    HttpResponse response;
    response.content_type = "text/plain";
    if (path == "/hello") {
      response.body = "hello";
      responder->Send(std::move(response));
    } else if (path == "/big") {
      response.body.assign(1 << 20, 'b');
      responder->Send(std::move(response));
    } else if (path == "/echo") {
      response.body = request->method + " " + request->path + " " + request->query + " " + request->body;
      response.headers.emplace_back("x-id", request->id);
      responder->Send(std::move(response));
    } else if (path == "/stream" || path == "/cut") {
      response.body = "one,";
      responder->StartStream(std::move(response));
      responder->Write("two,");
      responder->Write("");
      responder->Write("three");
      if (path == "/stream") responder->EndStream();
    } else if (path == "/throw") {
      throw std::runtime_error("a handler's mistake");
    } else if (path == "/hold" || path == "/hold-stream") {
      responder->OnGone([this] { ++gone_; });
      if (path == "/hold-stream") {
        response.body = "first,";
        responder->StartStream(std::move(response));
      }
      const std::lock_guard lock(mutex_);
      held_.push_back({std::move(request), std::move(responder)});
    } else if (path != "/silent") {
      response.status = 404;
      response.body = "no such path";
      responder->Send(std::move(response));
    }
  }

  // Waits until so many requests are held, and gives the last.
  Held WaitHeld(size_t count = 1) {
    EXPECT_TRUE(Eventually([&] { return HeldCount() >= count; }));
    const std::lock_guard lock(mutex_);
    return held_.empty() ? Held{} : held_.back();
  }
  size_t HeldCount() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  void Release() {
    std::vector<Held> held;
    const std::lock_guard lock(mutex_);
    held.swap(held_);
  }
  // The server still answers.
  void ExpectHealthy() {
    Client client(server_->port());
    const auto answer = client.Ask(Get("/hello"));
    ASSERT_TRUE(answer) << "no answer";
    EXPECT_EQ(answer->body, "hello");
  }

  std::mutex mutex_;
  std::vector<Held> held_;
  std::atomic<int> gone_{0}, handled_{0};
  std::unique_ptr<HttpServer> server_;
};

}  // namespace qiao::serve
