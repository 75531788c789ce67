#include <qiao/engine.h>

#include <iostream>

int main() {
  qiao::EngineOptions options;
  options.model = "models/demo";
  auto engine = qiao::Engine::Load(options);
  if (!engine.ok()) {
    std::cerr << engine.status().message() << "\n";
    return 1;
  }

  qiao::GenerateRequest request;
  request.prompt = "SQLite is a";
  request.max_tokens = 64;
  auto result = (*engine)->Generate(request, [](const qiao::Token& token) {
    std::cout << token.text << std::flush;
    return true;  // false stops
  });
  if (!result.ok()) {
    std::cerr << result.status().message() << "\n";
    return 1;
  }
  std::cout << "\n";
}
