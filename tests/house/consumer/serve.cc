// Several prompts at once: the answers are printed as they end, not as they were asked for.
#include <qiao/engine.h>

#include <condition_variable>
#include <iostream>
#include <mutex>

int main(int argc, char** argv) {
  qiao::EngineOptions options;
  options.model = "models/demo";
  options.sequences = 4;  // at once; more wait
  auto engine = qiao::Engine::Load(options);
  if (!engine.ok()) {
    std::cerr << engine.status().message() << "\n";
    return 1;
  }

  std::mutex mutex;
  std::condition_variable changed;
  int left = 0;
  for (int i = 1; i < argc; ++i) {
    qiao::GenerateRequest request;
    request.prompt = argv[i];
    request.max_tokens = 16;
    const qiao::Status taken = (*engine)->Submit(
        request, nullptr, [&, prompt = request.prompt](const qiao::Result<qiao::GenerateResult>& result) {
          // On the engine's thread: others wait meanwhile.
          const std::lock_guard<std::mutex> lock(mutex);
          std::cout << prompt << (result.ok() ? result->text : ": " + result.status().message()) << "\n";
          --left;
          changed.notify_one();
        });
    if (!taken.ok()) {
      std::cerr << taken.message() << "\n";
      return 1;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    ++left;
  }
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [&] { return left == 0; });
  std::cout << (*engine)->stats().generated_tokens << " tokens\n";
}
