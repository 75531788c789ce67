// infer chat: a conversation, a line a turn.
#include <cstdio>
#include <iostream>

#include "runtime/base/json.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/generate.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr char kHelp[] =
    "  /reset  forget the conversation\n"
    "  /help   this\n"
    "  /exit   leave (also Ctrl-D)\n"
    "A line that ends in \\ goes on in the next. Ctrl-C ends an answer.\n";

enum class Input { kMessage, kEnd };

// One message from stdin; prompts on a terminal.
Input ReadMessage(std::string& message) {
  message.clear();
  const char* prompt = "> ";
  for (;;) {
    if (StdinIsTerminal()) std::fputs(Err(Style::kCyan, prompt).c_str(), stderr);
    std::string line;
    if (!std::getline(std::cin, line)) return Input::kEnd;
    if (!line.ends_with('\\')) {
      message += line;
      return Input::kMessage;
    }
    line.pop_back();
    message += line + "\n";
    prompt = ". ";
  }
}

class Conversation {
 public:
  Conversation(Engine& engine, const ChatArgs& args) : engine_(engine), args_(args) { Reset(); }

  void Reset() {
    messages_ = OrderedJson::array();
    if (!args_.system.empty()) messages_.push_back({{"role", "system"}, {"content", args_.system}});
  }

  // Sends a message and prints the answer. After an error the conversation is as it was before.
  absl::Status Turn(const std::string& message) {
    messages_.push_back({{"role", "user"}, {"content", message}});
    absl::Status status = Answer();
    if (!status.ok()) messages_.erase(messages_.size() - 1);
    return status;
  }

 private:
  absl::Status Answer() {
    Result<std::string> rendered = engine_.RenderChat(DumpJson(messages_), /*add_generation_prompt=*/true);
    if (!rendered.ok()) {
      return WithHint(WithExit(FromPublic(rendered.status()), kExitModel),
                      "infer run continues a text without a template");
    }
    GenerateRequest request;
    request.prompt = *std::move(rendered);
    request.rendered = true;
    request.max_tokens = args_.max_tokens;
    request.stop = args_.stop;
    request.sampling = ToSampling(args_.sampling, engine_.RecommendedSampling());
    QIAO_ASSIGN_OR_RETURN(const GenerateResult result, GenerateText(engine_, request, /*stream=*/true));
    messages_.push_back({{"role", "assistant"}, {"content", result.text}});
    std::fprintf(stderr, "%s\n", Err(Style::kDim, Summary(engine_, result)).c_str());
    return absl::OkStatus();
  }

  Engine& engine_;
  const ChatArgs& args_;
  OrderedJson messages_;
};

}  // namespace

absl::Status Chat(const ChatArgs& args) {
  CatchInterrupts();
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(args.model, args.device));
  Conversation conversation(*engine, args);
  if (StdinIsTerminal()) {
    std::fprintf(stderr, "%s, context %s tokens. /help tells what you can do.\n",
                 engine->model().architecture.c_str(),
                 Grouped(static_cast<uint64_t>(engine->context())).c_str());
  }
  for (std::string message; ReadMessage(message) == Input::kMessage;) {
    if (message == "/exit" || message == "/quit") return absl::OkStatus();
    if (message == "/help") {
      std::fputs(kHelp, stderr);
    } else if (message == "/reset") {
      conversation.Reset();
      std::fputs("The conversation is forgotten.\n", stderr);
    } else if (message.starts_with('/') && message.find(' ') == std::string::npos) {
      std::fprintf(stderr, "%s is no command.\n%s", Printable(message).c_str(), kHelp);
    } else if (!message.empty()) {
      const absl::Status status = conversation.Turn(message);
      // At a keyboard one message that fails is not the end; a script must not go on without noticing.
      if (!status.ok() && !StdinIsTerminal()) return status;
      Report(status);
      if (Interrupted()) ForgetInterrupt();
    }
  }
  if (StdinIsTerminal()) std::fputs("\n", stderr);
  return Interrupted() ? absl::CancelledError() : absl::OkStatus();
}

}  // namespace qiao::tools
