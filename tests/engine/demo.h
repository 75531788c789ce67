// The model that ships with Qiao, as an embedder loads it.
#pragma once

#include <gtest/gtest.h>
#include <qiao/engine.h>

#include <memory>
#include <utility>

namespace qiao {

inline EngineOptions Demo() {
  EngineOptions options;
  options.model = QIAO_MODELS "/demo";
  options.context = 512;
  return options;
}

inline std::unique_ptr<Engine> Loaded(const EngineOptions& options) {
  auto engine = Engine::Load(options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? *std::move(engine) : nullptr;
}

}  // namespace qiao
